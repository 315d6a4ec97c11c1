"""Row: ten thousand saves at once, and what watching them costs afterwards."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import psutil

from tests.bench.row import Measured, Row
from tests.helpers.daemon import Daemon, daemon_in, eventually
from tests.helpers.watch import hdf5_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.place import Place

_SECONDS = 30
_CONFIG = """
[daemon]
state_dir = "state"
log_format = "json"

[web]
listen = "127.0.0.1:0"

[worker]
concurrency = 2

[[watch]]
name = "runs"
path = "runs"
method = "METHOD"
[watch.verify]
skip = ["load", "signatures", "inference", "predictions", "resume", "evaluate"]
"""


def counter(daemon: Daemon, name: str) -> float:
    """The sum of a counter over its labels."""
    found = re.findall(
        rf"^checkpointd_{name}(?:{{.*}})? (\S+)$", daemon.text("/metrics"), re.MULTILINE
    )
    return sum(float(value) for value in found)


def states(daemon: Daemon) -> dict[str, int]:
    """How many checkpoints are in each state; asked so seldom that asking costs nothing."""
    time.sleep(1)
    counts: dict[str, int] = daemon.status()["watches"][0]["counts"]
    return counts


def burst(place: Place) -> Sequence[Measured]:
    """So many saves at once, each seen exactly once, and the cost of watching them by polling.

    Raises:
        AssertionError: one was lost, or seen twice.
    """
    count = place.count(10_000)
    directories = max(1, count // 10)
    with daemon_in(place.home, _CONFIG.replace("METHOD", "inotify")) as daemon:
        daemon.start()
        content = hdf5_bytes()
        for run in range(directories):
            (daemon.runs / str(run)).mkdir()
        began = time.monotonic()
        for n in range(count):
            (daemon.runs / str(n % directories) / f"fold_{n}.h5").write_bytes(content)
        eventually("all to be seen", lambda: sum(states(daemon).values()) >= count, 900)
        seen = time.monotonic() - began
        eventually("all verdicts", lambda: states(daemon).get("valid", 0) >= count, 1800)
        verified = time.monotonic() - began
        discovered, verdicts, superseded, coalesced = (
            counter(daemon, f"{name}_total")
            for name in ("artifacts_discovered", "validations", "superseded", "coalesced")
        )
        assert (discovered, verdicts, superseded + coalesced) == (count, count, 0), discovered
        daemon.stop()
        daemon.config.write_text(_CONFIG.replace("METHOD", "poll"))
        daemon.start()
        assert daemon.process is not None
        process = psutil.Process(daemon.process.pid)
        time.sleep(15)
        before = sum(process.cpu_times()[:2])
        time.sleep(_SECONDS)
        polling = float((sum(process.cpu_times()[:2]) - before) / _SECONDS * 100)
        daemon.stop()
    return [
        Measured(f"{count} saves at once: all in the ledger", seen, "s"),
        Measured(f"{count} saves at once: verdicts a second", count / verified, "/s"),
        Measured(f"{count} known: idle while polling every 10 s", polling, "%"),
    ]


ROWS = (Row("burst", burst),)
