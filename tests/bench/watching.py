"""What watching ten thousand checkpoints costs, measured on real daemons: part of `make bench`.

Numbers of one run on one machine, never asserted by time; that each of a burst is seen exactly
once is asserted.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.helpers.daemon import Daemon, daemon_in, eventually
from tests.helpers.watch import hdf5_bytes

CHECKPOINTS, DIRECTORIES = 10_000, 1_000
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


def share_of_a_core(process: psutil.Process) -> float:
    """What a process uses of a core while nothing happens, in percent."""
    before = sum(process.cpu_times()[:2])
    time.sleep(_SECONDS)
    return float((sum(process.cpu_times()[:2]) - before) / _SECONDS * 100)


def burst(daemon: Daemon) -> None:
    """Ten thousand saves at once, until each has its verdict."""
    content = hdf5_bytes()
    for run in range(DIRECTORIES):
        (daemon.runs / str(run)).mkdir()
    began = time.monotonic()
    for n in range(CHECKPOINTS):
        (daemon.runs / str(n % DIRECTORIES) / f"fold_{n}.h5").write_bytes(content)
    written = time.monotonic() - began
    eventually("all to be seen", lambda: sum(states(daemon).values()) >= CHECKPOINTS, 900)
    seen = time.monotonic() - began
    eventually("all verdicts", lambda: states(daemon).get("valid", 0) >= CHECKPOINTS, 1800)
    verified = time.monotonic() - began
    discovered, verdicts = (
        counter(daemon, name) for name in ("artifacts_discovered_total", "validations_total")
    )
    lost = counter(daemon, "superseded_total") + counter(daemon, "coalesced_total")
    assert (discovered, verdicts, lost) == (CHECKPOINTS, CHECKPOINTS, 0), (discovered, verdicts)
    print(
        f"burst: {CHECKPOINTS} saves in {written:.1f} s, all in the ledger after {seen:.1f} s, all "
        f"with a verdict after {verified:.0f} s ({CHECKPOINTS / verified:.0f} a second); each seen "
        "once, none lost"
    )


def main() -> None:
    """Measure and print."""
    with (
        tempfile.TemporaryDirectory() as name,
        daemon_in(Path(name), _CONFIG.replace("METHOD", "inotify")) as daemon,
    ):
        daemon.start()
        assert daemon.process is not None
        time.sleep(3)
        empty = psutil.Process(daemon.process.pid).memory_info().rss
        burst(daemon)
        daemon.stop()
        for method in ("inotify", "poll"):
            daemon.config.write_text(_CONFIG.replace("METHOD", method))
            daemon.start()
            process = psutil.Process(daemon.process.pid)
            time.sleep(15)
            seconds = daemon.status()["watches"][0]["reconcile_seconds"]
            idle = share_of_a_core(process)
            more = (process.memory_info().rss - empty) / 1e6
            print(
                f"{method}, {CHECKPOINTS} known in {DIRECTORIES} directories: a full comparison "
                f"takes {seconds:.2f} s; {more:.0f} MB over an empty daemon's {empty / 1e6:.0f} "
                f"MB; idle {idle:.2f} % of a core"
            )
            daemon.stop()


if __name__ == "__main__":
    main()
