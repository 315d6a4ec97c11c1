"""Row: ten thousand small checkpoints through a fleet of three workers, one of which is killed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psutil

from tests.bench.burst_rows import counter, states
from tests.bench.row import Measured, Row
from tests.helpers.daemon import BARE, Daemon, daemon_in, eventually
from tests.helpers.fleet import Fleet, fleet_in
from tests.helpers.scene import SCAN_ONLY
from tests.helpers.watch import hdf5_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.bench.place import Place

_WORKERS = 3
_CONFIG = f"{BARE}verify = {{ {SCAN_ONLY} }}\n\n[worker]\nconcurrency = {_WORKERS}\n"


def fleet(place: Place) -> Sequence[Measured]:
    """The same checkpoints by one local dispatcher, and by a fleet with mTLS.

    Raises:
        AssertionError: one has no verdict, or two.
    """
    count = place.count(10_000)
    here, alone = _local(place.home / "local", count)
    (place.home / "fleet").mkdir()
    with fleet_in(place.home / "fleet", _WORKERS) as made:
        there, cost, lost = _by_fleet(place.home / "daemon", made, count)
    what = f"{count} small checkpoints"
    each = {f"{name}_ms": seconds / count * 1000 for name, seconds in cost.items()}
    return [
        Measured(f"{what}: one host, {_WORKERS} at a time", count / here, "/s"),
        Measured(
            f"{what}: a fleet of {_WORKERS}, one killed", count / there, "/s", facts={"lost": lost}
        ),
        Measured("a fleet on the same cores against one host", here / there, "x"),
        Measured("CPU beside the children, each: one host", alone / count * 1000, "ms"),
        Measured("CPU beside the children, each: a fleet", sum(each.values()), "ms", facts=each),
    ]


def _local(home: Path, count: int) -> tuple[float, float]:
    """Seconds until one dispatcher has verified them, and the CPU seconds of the daemon."""
    home.mkdir()
    with daemon_in(home, _CONFIG) as daemon:
        _save(daemon, count)
        began = time.monotonic()
        daemon.start()
        eventually("all verdicts", lambda: states(daemon).get("valid", 0) >= count, 1800)
        seconds = time.monotonic() - began
        assert daemon.process is not None
        cpu = _cpu(psutil.Process(daemon.process.pid))
        daemon.stop()
    return seconds, cpu


def _by_fleet(home: Path, made: Fleet, count: int) -> tuple[float, dict[str, float], int]:
    """Seconds until the workers have verified them, CPU seconds, and how many tries were lost."""
    home.mkdir()
    with daemon_in(home, f"{_CONFIG}{made.config}") as daemon:
        _save(daemon, count)
        began = time.monotonic()
        daemon.start()
        assert made.scheduler is not None
        assert daemon.process is not None
        pids = {"scheduler": made.scheduler.pid, "daemon": daemon.process.pid}
        parts = {name: psutil.Process(pid) for name, pid in pids.items()}
        parts["helper"] = _helper(daemon)
        workers = [psutil.Process(worker.pid) for worker in made.workers]
        before = {name: _cpu(process) for name, process in parts.items()}
        of_workers = [_cpu(process) for process in workers]
        eventually("a third", lambda: states(daemon).get("valid", 0) >= count / 3, 1800)
        spent = _cpu(workers[0]) - of_workers[0]
        made.workers[0].kill()
        made.workers[0].start()  # as systemd does
        eventually("all verdicts", lambda: states(daemon).get("valid", 0) >= count, 1800)
        seconds = time.monotonic() - began
        cost = {name: _cpu(process) - before[name] for name, process in parts.items()}
        rest = zip(workers[1:], of_workers[1:], strict=True)
        spent += _cpu(psutil.Process(made.workers[0].pid))
        cost["workers"] = spent + sum(_cpu(process) - first for process, first in rest)
        time.sleep(2)
        found, seen = states(daemon), counter(daemon, "validations_total")
        assert (found.get("valid"), seen) == (count, count), (found, seen)
        lost = int(counter(daemon, "worker_exits_total"))
        daemon.stop()
    return seconds, cost, lost


def _save(daemon: Daemon, count: int) -> None:
    content = hdf5_bytes()
    for n in range(count):
        directory = daemon.runs / str(n % max(1, count // 10))
        directory.mkdir(exist_ok=True)
        (directory / f"fold_{n}.h5").write_bytes(content)


def _helper(daemon: Daemon) -> psutil.Process:
    """The process of the daemon that talks to the cluster."""
    assert daemon.process is not None
    children = psutil.Process(daemon.process.pid).children()
    return next(one for one in children if "checkpointd.dispatch.fleet.client" in one.cmdline())


def _cpu(process: psutil.Process) -> float:
    """The CPU seconds of a process, without those of its children."""
    return float(sum(process.cpu_times()[:2]))


ROWS = (Row("fleet", fleet),)
