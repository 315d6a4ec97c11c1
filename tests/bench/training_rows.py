"""Row: what a training job that uses every core loses for each checkpoint that is verified."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tests.bench.row import Measured, Row
from tests.bench.yardsticks import _COLD
from tests.helpers.daemon import BARE, daemon_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from tests.bench.place import Place

_SECONDS = 60
_EVERY = 6

_TRAIN = """
import sys, time
import tensorflow as tf
a = tf.random.normal([1024, 1024])
@tf.function
def step(x):
    for _ in range(8):
        x = tf.tanh(a @ x)
    return x
x = step(a)
print("ready", flush=True)
began, steps = time.time(), 0
while time.time() - began < float(sys.argv[1]):
    x = step(x); float(x[0, 0]); steps += 1
print(steps / (time.time() - began), flush=True)
"""


@contextlib.contextmanager
def _training(seconds: float) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-c", _TRAIN, str(seconds)]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as job:
        assert job.stdout
        assert job.stdout.readline() == "ready\n"
        yield job
        job.wait()


def _rate(seconds: float, beside: Callable[[int], None] | None = None) -> float:
    """Steps a second of a job, while something is done every few seconds beside it."""
    with _training(seconds) as job:
        began = time.time()
        for turn in range(int(seconds / _EVERY) if beside else 0):
            beside(turn)  # type: ignore[misc]
            time.sleep(max(0.0, began + (turn + 1) * _EVERY - time.time()))
        assert job.stdout
        return float(job.stdout.readline())


def training(place: Place) -> Sequence[Measured]:
    """Seconds of training lost for each checkpoint, against new interpreters at the same times."""
    source = place.model("m.keras", 0.9)
    seconds = max(20.0, _SECONDS * place.scale)
    count = int(seconds / _EVERY)
    alone = [_rate(seconds)]

    def naive(_turn: int) -> None:
        subprocess.Popen(
            [sys.executable, "-c", _COLD, str(source)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    beside_naive = _rate(seconds, naive)
    alone.append(_rate(seconds))
    with daemon_in(place.home, BARE + '\n[worker]\nidle_exit = "30m"\n') as daemon:
        daemon.start()

        def save(turn: int | str) -> None:
            target: Path = daemon.runs / f"m-{turn}.keras"
            shutil.copy(f"{source}.golden.npz", f"{target}.golden.npz")
            staged = shutil.copy(source, daemon.home / "staged")
            staged.rename(target)

        save("warm")
        daemon.verdict(daemon.runs / "m-warm.keras")
        beside_daemon = _rate(seconds, save)
        daemon.verdict(daemon.runs / f"m-{count - 1}.keras")
        daemon.stop()
    alone.append(_rate(seconds))
    full = sum(alone) / len(alone)
    ours, theirs = ((1 - rate / full) * seconds / count for rate in (beside_daemon, beside_naive))
    facts = {
        "lost_for_each": ours,
        "yardstick": theirs,
        "spread_alone": (max(alone) - min(alone)) / full,
    }
    return [
        Measured(
            "training lost, share of a new interpreter's", ours / theirs, "x", 1 / 15, facts=facts
        ),
        Measured("training lost at one checkpoint a minute", ours / 60 * 100, "%", 2),
    ]


ROWS = (Row("training", training),)
