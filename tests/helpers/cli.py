"""Runs the command line as people do: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from checkpointd.core.check_result import CheckResult, Outcome
from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.core.report import Facts, Report
from checkpointd.core.verdict import Verdict
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.formats import generation_of
from checkpointd.ledger import Ledger, State
from checkpointd.series.names import parse_name

ROOT = Path(__file__).parents[2]


def environment(home: Path, **more: str) -> dict[str, str]:
    """An environment in which nothing of this machine's own state or config is seen."""
    kept = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    return {
        **kept,
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "PYTHONPATH": str(ROOT),
        "CHECKPOINTD_CONFIG": "",
        **more,
    }


def checkpointd(
    *arguments: str | bytes, home: Path, cwd: Path | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its output is text, bytes that are no UTF-8 are kept."""
    return subprocess.run(
        [sys.executable, "-m", "checkpointd", *arguments],
        capture_output=True,
        text=True,
        errors="surrogateescape",
        env=environment(home, **more),
        cwd=cwd or home,
        timeout=250,
        check=False,
    )


def train(script: str, home: Path) -> None:
    """Run a script that trains and saves, in a home that is its directory and its argument."""
    done = subprocess.run(
        [sys.executable, "-c", script, str(home)],
        capture_output=True,
        text=True,
        env=environment(home, TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1"),
        cwd=home,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr


_SHOWN = {Verdict.VALID: ("intact", "loads"), Verdict.INVALID: ()}


class World:
    """A home with a config, one watch `a` on `runs`, and a ledger that knows what is put there."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.runs = home / "runs"
        self.runs.mkdir()
        self.config = home / "config.toml"
        self.config.write_text(
            "[daemon]\nstate_dir = 'state'\n[[watch]]\nname = 'a'\npath = 'runs'\n"
        )
        self.state = home / "state"
        self.clock = 1_700_000_000

    def put(
        self, name: str, verdict: Verdict | None = Verdict.VALID, shown: tuple[str, ...] = ()
    ) -> Path:
        """Write a file, and the verdict on it into the ledger; None for one that still waits."""
        path = os.fsencode(self.runs) + b"/" + os.fsencode(name)
        Path(os.fsdecode(path)).write_bytes(b"content of " + os.fsencode(name))
        self.clock += 60
        os.utime(path, (self.clock, self.clock))
        text = os.fsdecode(path)
        generation = generation_of(text, Format.HDF5)
        placed = parse_name(name, Format.HDF5)
        checkpoint = Checkpoint(text, Format.HDF5, "a", placed.series, placed.version, placed.step)
        ledger = Ledger.open(self.state)
        ledger.record_seen(checkpoint, generation, State.PENDING)
        if verdict is not None:
            outcome = Outcome.PASS if verdict is Verdict.VALID else Outcome.FAIL
            reason = "" if verdict is Verdict.VALID else "finite.nan"
            ledger.record_report(
                Report(
                    checkpoint=checkpoint,
                    generation=generation,
                    verdict=verdict,
                    reason=reason,
                    message=reason and "kernel: 3 of 32 values are NaN",
                    shown=shown or _SHOWN[verdict],
                    checks=(CheckResult("finite", outcome, reason, "kernel"),),
                    facts=Facts(format=Format.HDF5, writer="keras 3.15.1"),
                    duration_seconds=0.25,
                    settings_digest=VerifySettings().digest,
                    finished_at=float(self.clock + 1),
                )
            )
        ledger.close()
        return Path(text)

    def run(self, *arguments: str | bytes, code: int = 0) -> str:
        """Run a command, expect an exit code, return its output (or, if it failed, its errors)."""
        done = checkpointd("--config", str(self.config), *arguments, home=self.home)
        assert done.returncode == code, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout or done.stderr
