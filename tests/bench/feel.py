"""How it feels, measured: `make bench`. Numbers of one run on one machine, never asserted.

Prints the time from a checkpoint's last byte to its verdict with warm zygotes, the daemon's
memory, and the command line's start, each also as a ratio to a yardstick of the same run.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parents[2]))
from tests.helpers.daemon import Daemon, daemon_in, eventually

_MAKE = """
import sys, keras
from checkpointd.training import save
import numpy
model = keras.Sequential([keras.layers.Input((128,)), keras.layers.Dense(512),
                          keras.layers.Dense(256), keras.layers.Dense(128)])
model.compile("adam", keras.losses.MeanSquaredError())
x = numpy.ones((4, 128), "float32")
home = sys.argv[1]
save(model, f"{home}/m.h5", golden=x)
save(model, f"{home}/m.keras", golden=x)
save(model, f"{home}/export", golden=x)
"""
_LOAD = "import sys, keras; keras.models.load_model(sys.argv[1])"


def timed(command: list[str], turns: int = 5) -> float:
    """The median seconds of a command."""
    seconds = []
    for _ in range(turns):
        started = time.perf_counter()
        subprocess.run(command, check=False, capture_output=True)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def latency(daemon: Daemon, source: Path, turns: int = 7) -> float:
    """The median seconds from the rename that completes a checkpoint to its verdict."""
    seconds = []
    for turn in range(turns):
        copy = daemon.home / f"staged-{turn}{source.suffix}"
        target = daemon.runs / f"{source.stem}-{turn}{source.suffix}"
        record = source.with_name(source.name + ".golden.npz")
        if source.is_dir():
            shutil.copytree(source, copy)
        else:
            shutil.copy(source, copy)
            shutil.copy(record, target.with_name(target.name + ".golden.npz"))
        started = time.time()
        copy.rename(target)
        entry = daemon.verdict(target)
        assert entry["verdict"] == "valid", entry
        seconds.append(entry["verified_at"] - started)
    return statistics.median(seconds)


def main() -> None:
    """Measure and print."""
    python = sys.executable
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        made = home / "made"
        made.mkdir()
        subprocess.run([python, "-c", _MAKE, str(made)], check=True, capture_output=True)
        bare = timed([python, "-c", "pass"])
        cold = timed([python, "-c", _LOAD, str(made / "m.keras")], turns=3)
        print(
            f"yardsticks: python starts in {bare * 1000:.0f} ms; a new interpreter imports "
            f"Keras and loads a 1 MB .keras in {cold:.2f} s"
        )
        with daemon_in(home) as daemon:
            daemon.start()
            latency(daemon, made / "m.h5", turns=1)
            for source in (made / "m.h5", made / "m.keras", made / "export"):
                seconds = latency(daemon, source)
                print(
                    f"verdict {source.name:<8} {seconds:.2f} s after its last byte "
                    f"(1/{cold / seconds:.0f} of a new interpreter), every check"
                )
            assert daemon.process is not None
            process = psutil.Process(daemon.process.pid)
            print(f"daemon process: {process.memory_info().rss / 1e6:.0f} MB resident")
            for child in process.children():
                kind = child.cmdline()[3:4]
                print(f"  zygote {''.join(kind):<5} {child.memory_info().rss / 1e6:.0f} MB")
            before = sum(process.cpu_times()[:2])
            time.sleep(20)
            idle = (sum(process.cpu_times()[:2]) - before) / 20
            print(f"idle: {idle * 100:.2f} % of a core")
            for words in (["--help"], ["latest", str(daemon.runs), "--series", "m.h5"]):
                command = [python, "-m", "checkpointd", "--config", str(daemon.config), *words]
                seconds = timed(command)
                print(
                    f"checkpointd {words[0]:<7} {seconds * 1000:.0f} ms "
                    f"({seconds / bare:.0f} times a bare python)"
                )
            eventually("an idle queue", lambda: not daemon.status()["queue"]["length"])
            daemon.stop()


if __name__ == "__main__":
    main()
