"""What the running daemon takes for the newest where clocks, copies and restarts mislead it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from tests.helpers.daemon import CONFIG, eventually
from tests.helpers.watch import hdf5_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.helpers.daemon import Daemon

pytestmark = [pytest.mark.slow(30), pytest.mark.timeout(600)]

_POLICY = """
[watch.verify]
skip = ["load", "signatures", "inference", "predictions", "resume", "drift", "evaluate"]

[watch.retention]
mode = "enforce"
confirm = "never"
keep_last = 2
min_age = "1ms"
"""


def _save(daemon: Daemon, number: int, ahead: float = 0.0) -> None:
    """Save as a job does, by a clock that is `ahead`, and wait for the verdict."""
    path = daemon.runs / f"ckpt-{number}.h5"
    temporary = path.with_name(path.name + ".part~")
    temporary.write_bytes(hdf5_bytes())
    at = time.time() + ahead
    os.utime(temporary, (at, at))
    temporary.rename(path)
    assert daemon.verdict(path)["verdict"] == "valid"


def _left(daemon: Daemon) -> set[int]:
    return {int(path.stem.removeprefix("ckpt-")) for path in daemon.runs.glob("ckpt-*.h5")}


def _start(daemon: Daemon, numbers: Iterable[int] = ()) -> None:
    daemon.config.write_text(CONFIG + _POLICY)
    for i, number in enumerate(numbers):
        path = daemon.runs / f"ckpt-{number}.h5"
        path.write_bytes(hdf5_bytes())
        os.utime(path, (time.time() - 900 + i,) * 2)
    daemon.start()


def test_a_clock_that_was_ahead_and_a_restart_lose_nothing(daemon: Daemon) -> None:
    """Three saves of tomorrow stay; a run that starts at 1 takes nothing from the one before."""
    _start(daemon)
    for number in (21, 22, 23):
        _save(daemon, number, ahead=86400)
    for number in (24, 25, 26, 27):
        _save(daemon, number)
    eventually("the oldest to be pruned", lambda: _left(daemon) == {21, 22, 23, 26, 27})
    for number in (1, 2, 3):
        _save(daemon, number)
    eventually("the new run to be pruned", lambda: 1 not in _left(daemon))
    assert _left(daemon) == {21, 22, 23, 26, 27, 2, 3}
    assert daemon.cli("latest", "runs").stdout.strip().endswith("/ckpt-3.h5")


def test_a_copy_without_times_is_held_and_latest_says_so(daemon: Daemon) -> None:
    """Found at a start in the order of a parallel copy: which is the newest is not certain."""
    order = [6, 1, 5, 3, 2, 4]
    _start(daemon, order)
    for number in order:
        daemon.verdict(daemon.runs / f"ckpt-{number}.h5")
    eventually("a hold", lambda: "order_disagrees" in str(daemon.status()["watches"]))
    assert _left(daemon) == set(order)
    latest = daemon.cli("latest", "runs")
    assert (latest.returncode, latest.stdout) == (3, "")
    assert "by number it is" in latest.stderr
    assert "ckpt-6.h5" in latest.stderr
    daemon.config.write_text(CONFIG + _POLICY + 'order = "number"\n')
    assert daemon.cli("reload").returncode == 0
    eventually("the lower numbers to be pruned", lambda: _left(daemon) == {4, 5, 6})
    assert daemon.cli("latest", "runs").stdout.strip().endswith("/ckpt-6.h5")
