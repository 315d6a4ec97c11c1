"""A path that a real job overwrites, beside a daemon with a vault."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.helpers.daemon import CONFIG, daemon_in, eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.helpers.daemon import Daemon

pytestmark = pytest.mark.timeout(300)

SAVES = 4
VAULT = f"""{CONFIG.replace('torn_after = "5s"', 'torn_after = "2s"')}
[watch.verify]
skip = ["resume", "drift"]

[watch.retention]
mode = "enforce"
vault = 1
"""


def _copies(daemon: Daemon) -> list[dict[str, Any]]:
    time.sleep(0.5)  # asked again and again, the command would take a core from the verification
    rows = [json.loads(line) for line in daemon.cli("trash", "list", "--json").stdout.splitlines()]
    return [row for row in rows if row["rule"] == "vault"]


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_the_last_good_content_of_a_path_comes_back(
    tmp_path: Path, suffix: str, show: Callable[[str], None]
) -> None:
    """ModelCheckpoint(save_best_only=True): what a kill tears is replaced by the save before."""
    with daemon_in(tmp_path, VAULT) as daemon:
        daemon.start()
        path = daemon.runs / f"best{suffix}"
        with subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.best_only_job", str(path), str(SAVES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as job:
            try:
                good = _save_and_tear(job, daemon, path)
            finally:
                job.kill()
        eventually("the torn save is invalid", lambda: daemon.entry(path)["state"] == "invalid")
        assert path.read_bytes() != good
        restored = daemon.cli("restore", str(path), "--json")
        assert restored.returncode == 0, restored.stderr
        assert json.loads(restored.stdout)["pinned"] is False
        assert path.read_bytes() == good
        eventually("it is valid again", lambda: daemon.entry(path)["state"] == "valid")
        assert (
            "a copy from the vault takes its place" in daemon.cli("trash", "list", "--json").stdout
        )
        show(
            f"vault: {SAVES} saves of best{suffix}, number {SAVES + 1} torn, number {SAVES} is back"
        )


def _save_and_tear(job: subprocess.Popen[str], daemon: Daemon, path: Path) -> bytes:
    """Let a job save until a kill tears its last save; return what was good before that."""
    assert job.stdin is not None
    assert job.stdout is not None
    for number in range(SAVES):
        before = [row["item"] for row in _copies(daemon)]
        print("go", file=job.stdin, flush=True)
        assert job.stdout.readline() == f"saved {number}\n"
        eventually(
            "a copy of this save alone",
            lambda before=before: len(c := _copies(daemon)) == 1 and c[0]["item"] not in before,
        )
        assert daemon.verdict(path)["state"] == "valid"
    good = path.read_bytes()
    refused = daemon.cli("restore", str(path))
    assert refused.returncode != 0
    assert "is valid as it is" in refused.stderr
    print("go", file=job.stdin, flush=True)
    assert job.stdout.readline() == f"torn {SAVES}\n"
    assert job.wait() == -signal.SIGKILL
    return good
