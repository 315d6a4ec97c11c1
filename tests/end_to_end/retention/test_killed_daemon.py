"""A daemon that is killed and started again while a job saves: every save can be had back."""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.helpers.daemon import eventually
from tests.helpers.invariants import END, FLOOR, LOST
from tests.helpers.scene import HEAD, NEVER_ASK, SCAN_ONLY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.helpers.daemon import Daemon
    from tests.helpers.invariants import Invariants

SOAK = bool(os.environ.get("SOAK"))
KILLS = 60 if SOAK else 3
KEPT = 3
_WATCH = f"""
[[watch]]
name = "runs"
path = "runs"
settle = "100ms"

[watch.verify]
{SCAN_ONLY}

[watch.retention]
mode = "enforce"
min_age = "1ms"
keep_last = {KEPT}
{NEVER_ASK}
"""


class Job(threading.Thread):
    """Saves checkpoints until it is to stop; `saved` is how many there are."""

    def __init__(self, template: Path, runs: Path) -> None:
        super().__init__()
        self._template, self._runs = template, runs
        self.saved = 0
        self.ended = threading.Event()

    def path(self, number: int) -> Path:
        """Where a checkpoint is saved."""
        return self._runs / f"epoch_{number:05d}.weights.h5"

    def run(self) -> None:
        """Save one after the other."""
        while not self.ended.wait(0.25):
            path = self.path(self.saved)
            part = path.with_name(f"{path.name}.tmp")
            shutil.copyfile(self._template, part)
            part.rename(path)
            self.saved += 1


@pytest.mark.slow
@pytest.mark.timeout(0 if SOAK else 600)
def test_a_daemon_killed_at_any_time_loses_nothing(
    daemon: Daemon, made: Path, invariants: Invariants, show: Callable[[str], None]
) -> None:
    """After each kill enough stay; after the last start all is kept, or in the trash and whole."""
    seed = int(os.environ.get("SEED", "0")) or secrets.randbelow(10**6)
    rng = random.Random(seed)  # noqa: S311 - when it is killed
    show(f"a daemon killed {KILLS} times: SEED={seed}")
    daemon.config.write_text(HEAD + _WATCH)
    job = Job(made / "only.weights.h5", daemon.runs)
    job.start()
    try:
        for _ in range(KILLS):
            daemon.start()
            time.sleep(rng.uniform(0.0, 2.0))
            daemon.stop(signal.SIGKILL)
            invariants.faults["SIGKILL of a daemon"] += 1
            there = sum(job.path(n).exists() for n in range(job.saved))
            invariants.never(FLOOR, there < min(KEPT, job.saved), there)
    finally:
        job.ended.set()
        job.join()
    daemon.start()
    newest = {job.path(n) for n in range(job.saved - KEPT, job.saved)}

    def kept() -> bool:
        return {p for p in daemon.runs.glob("*.h5") if p.exists()} == newest

    try:
        eventually("only the newest to be left", kept)
    except AssertionError:
        invariants.never(END, sorted(set(daemon.runs.glob("*.h5")) ^ newest))
    rows = [json.loads(row) for row in daemon.cli("trash", "list", "--json").stdout.splitlines()]
    trashed = {row["path"] for row in rows}
    missing = {str(job.path(n)) for n in range(job.saved)} - {str(p) for p in newest} - trashed
    invariants.never(LOST, missing)
    whole = (made / "only.weights.h5").read_bytes()
    content = [p for p in (daemon.runs / ".checkpointd-trash").rglob("*.h5") if p.is_file()]
    invariants.never(LOST, [p for p in content if p.read_bytes() != whole])
    invariants.never(END, len(content) != len(trashed), (len(content), len(trashed)))
    invariants.situations["removals by a daemon that is killed"] += len(trashed)
