"""Rows: what many known checkpoints cost the daemon and those who ask it."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from checkpointd.ledger import Ledger
from checkpointd.retention import plan
from tests.bench.row import Measured, Row, median
from tests.helpers.daemon import Daemon, daemon_in, eventually
from tests.helpers.ledger import entry, record_verdict, write_file
from tests.helpers.plans import NOW, policy
from tests.helpers.watch import hdf5_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.bench.place import Place

_IDLE_SECONDS = 30
_CONFIG = """
[daemon]
state_dir = "state"
log_format = "json"

[web]
listen = "127.0.0.1:0"

[[watch]]
name = "w"
path = "runs"
[watch.verify]
skip = ["load", "signatures", "inference", "predictions", "resume", "evaluate"]
[watch.retention]
keep_last = 5
"""


def _fill(daemon: Daemon, count: int, series: int) -> None:
    """Write checkpoints, and a ledger that knows them as valid."""
    (daemon.home / "state").mkdir()
    ledger = Ledger.open(daemon.home / "state")
    ledger._connection.execute("PRAGMA synchronous = OFF")
    began, content = time.time() - count * 60 - 3600, hdf5_bytes()
    for number in range(count):
        path = daemon.runs / f"run-{number % series}" / f"ckpt-{number // series:05}.h5"
        saved, generation = write_file(path, began + number * 60, content)
        label = f"run-{number % series}/ckpt-{{}}.h5"
        placed = replace(saved, series=label, version=f"{number // series:05}")
        record_verdict(ledger, (placed, generation))
    ledger.close()


def _seconds(turns: int, call: Callable[[], object]) -> float:
    found = []
    for _ in range(turns):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return median(found)


def _started(daemon: Daemon) -> tuple[float, psutil.Process]:
    began = time.perf_counter()
    daemon.start()
    assert daemon.process is not None
    return time.perf_counter() - began, psutil.Process(daemon.process.pid)


def ten_thousand(place: Place) -> Sequence[Measured]:
    """Memory, idle CPU and start with ten thousand known."""
    count = place.count(10_000)
    with daemon_in(place.home, _CONFIG) as daemon:
        _fill(daemon, count, max(1, count // 10))
        ready, process = _started(daemon)
        time.sleep(10)
        before = sum(process.cpu_times()[:2])
        time.sleep(_IDLE_SECONDS)
        idle = (sum(process.cpu_times()[:2]) - before) / _IDLE_SECONDS * 100
        memory = process.memory_info().rss / 1e6
        daemon.stop()
    return [
        Measured(f"{count} known: memory of the daemon", memory, "MB", 90),
        Measured(f"{count} known: idle", idle, "%", 0.1),
        Measured(f"{count} known: start to ready", ready, "s", 1),
    ]


def hundred_thousand(place: Place) -> Sequence[Measured]:
    """What those who ask wait for with a hundred thousand known in a thousand series."""
    count = place.count(100_000)
    series = max(1, count // 100)
    with daemon_in(place.home, _CONFIG) as daemon:
        _fill(daemon, count, series)
        ready, process = _started(daemon)
        reconcile = daemon.status()["watches"][0]["reconcile_seconds"]
        daemon.text("/")
        page = _seconds(place.turns, lambda: daemon.text("/"))
        scrape = _seconds(place.turns, lambda: daemon.text("/metrics"))
        latest = _seconds(place.turns, lambda: _latest(daemon))
        beside = _scrapes_until_planned(daemon)
        bare = _seconds(place.turns, lambda: subprocess.run([sys.executable, "-c", ""], check=True))
        memory = process.memory_info().rss / 1e6
        peak = _most_memory(process.pid)
        daemon.stop()
    what = f"{count} known in {series} series"
    return [
        Measured(f"{what}: start to ready", ready, "s"),
        Measured(f"{what}: reconcile", reconcile, "s", 2),
        Measured(f"{what}: page", page, "s", 0.2),
        Measured(f"{what}: scrape", scrape, "s", 0.1),
        Measured(f"{what}: latest", latest, "s", 0.3, facts={"python_starts_in": bare}),
        Measured(f"{what}: longest scrape beside the first plan", max(beside), "s"),
        Measured(f"{what}: memory after the plan", memory, "MB", 300, facts={"most": peak}),
    ]


def _scrapes_until_planned(daemon: Daemon) -> list[float]:
    """How long each scrape takes from now until the first plan is there, and one more."""
    found = []
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        found.append(_seconds(1, lambda: daemon.text("/metrics")))
        if daemon.status()["watches"][0].get("plan"):
            break
        time.sleep(0.05)
    return [*found, _seconds(1, lambda: daemon.text("/metrics"))]


def _most_memory(pid: int) -> float:
    """The most that a process has had resident, in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def _latest(daemon: Daemon) -> None:
    done = daemon.cli("latest", str(daemon.runs / "run-0"))
    assert done.returncode == 0, done.stderr


def removals(place: Place) -> Sequence[Measured]:
    """A round that moves a thousand checkpoints into the trash."""
    count = place.count(1000)
    config = _CONFIG.replace(
        "keep_last = 5", 'keep_last = 5\nmode = "enforce"\nconfirm = "never"\nmin_age = "1ms"'
    )
    with daemon_in(place.home, config) as daemon:
        _fill(daemon, count + 5, 1)
        began = time.time()
        _started(daemon)

        def pruned() -> list[float]:
            time.sleep(0.5)
            times = [e["timestamp"] for e in daemon.events() if e.get("event") == "pruned"]
            found = [datetime.fromisoformat(one).timestamp() for one in times]
            return found if len(found) >= count else []

        found = eventually("all removals", pruned, 120)
        daemon.stop()
    return [
        Measured(
            f"from the start to the end of a round with {count} removals",
            max(found) - began,
            "s",
            10,
        )
    ]


def planning(place: Place) -> Sequence[Measured]:
    """A plan of all of them, in one series and in a thousand."""
    count = place.count(100_000)
    rules = policy(
        keep_last=5,
        keep_daily=7,
        keep_best={"n": 3, "metric": "loss", "mode": "min"},
        keep_every_n_steps=1000,
    )
    found = []
    for series in (1, 1000):
        each = max(1, count // series)
        known = [
            entry(
                i * series + s,
                step=i,
                metrics={"loss": 1 / (1 + i)},
                saved_at=NOW - (each - i) * 60 - 7200,
                seen=NOW - (each - i) * 60 - 7199,
                sequence=i * series + s + 1,
                path=f"/w/{s}/ckpt-{i}",
                series=f"{s}/ckpt-{{}}",
            )
            for s in range(series)
            for i in range(each)
        ]
        seconds = _seconds(place.turns, lambda known=known: plan(known, rules, NOW))  # type: ignore[misc]
        found.append(Measured(f"plan of {len(known)} in {series} series", seconds, "s", 1))
    return found


ROWS = (
    Row("known_10000", ten_thousand),
    Row("known_100000", hundred_thousand),
    Row("removals", removals),
    Row("planning", planning),
)
