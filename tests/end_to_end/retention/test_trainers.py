"""Real training jobs and a real reader beside a daemon that enforces: none of them ever fails.

`make soak` does hundreds of saves, a run of the tests some.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.helpers.daemon import eventually
from tests.helpers.invariants import TRAINER
from tests.helpers.scene import HEAD, NEVER_ASK, SCAN_ONLY

if TYPE_CHECKING:
    from tests.helpers.daemon import Daemon
    from tests.helpers.invariants import Invariants

SAVES = 300 if os.environ.get("SOAK") else 16
_PROCESSES = ("limited_manager,unlimited_manager,fit,export", "serve")
_ROOTS = ("limited_manager", "unlimited_manager", "fit", "serving")
_LOAD_SECONDS = "15s"
"""Longer than a reader takes to load a version: between two of its files nobody sees it."""

_WATCH = """
[[watch]]
name = "{root}"
path = "{root}"
settle = "200ms"

[watch.verify]
{scan_only}

[watch.retention]
mode = "enforce"
min_age = "{min_age}"
{never_ask}
keep_last = 2
"""


@pytest.mark.slow
@pytest.mark.timeout(0 if os.environ.get("SOAK") else 600)
def test_no_training_job_and_no_reader_meets_an_error(
    daemon: Daemon, invariants: Invariants
) -> None:
    """Saves, restarts, exports and loads go on while everything but the newest is removed."""
    for root in _ROOTS:
        (daemon.home / root).mkdir()
    watches = [
        _WATCH.format(
            root=root,
            scan_only=SCAN_ONLY,
            never_ask=NEVER_ASK,
            min_age=_LOAD_SECONDS if root == "serving" else "1ms",
        )
        for root in _ROOTS
    ]
    daemon.config.write_text(HEAD + "".join(watches))
    daemon.start()
    command = [sys.executable, "-m", "tests.helpers.training_jobs"]
    jobs = [
        subprocess.Popen(
            [*command, names, str(daemon.home), str(SAVES)],
            cwd=Path(__file__).parents[3],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for names in _PROCESSES
    ]
    for job in jobs:
        out, err = job.communicate()
        invariants.never(TRAINER, job.returncode, err)
        for line in out.splitlines():
            count, _, what = line.partition(" ")
            invariants.situations[what] += int(count)
    eventually("something to be removed", lambda: _trashed(daemon) >= 2 * SAVES - 10, 400)
    invariants.situations["removals beside training jobs"] += _trashed(daemon)


def _trashed(daemon: Daemon) -> int:
    rows = daemon.cli("trash", "list", "--json").stdout.splitlines()
    return sum(bool(json.loads(row)) for row in rows)
