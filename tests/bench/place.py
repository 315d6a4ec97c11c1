"""Where a run of the benchmark works, on which machine, and the models that it measures with."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

_HERE = Path(__file__).parent

_MAKE = """
import os, sys
import keras, numpy
from checkpointd.training import save
path, mebibytes, width = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
layers = max(1, round(mebibytes * 2**20 / 4 / width**2))
model = keras.Sequential([keras.layers.Input((width,))])
for _ in range(layers):
    model.add(keras.layers.Dense(width, use_bias=False, kernel_initializer="glorot_uniform"))
model.compile(optimizer="sgd" if mebibytes > 100 else "adam", loss=keras.losses.MeanSquaredError())
if path.endswith("ckpt"):
    import tensorflow as tf
    tf.train.Checkpoint(model=model).write(path)
else:
    save(model, path, golden=numpy.ones((4, width), "float32"))
"""


@dataclass(frozen=True)
class Place:
    """Directories for one row.

    Args:
        home: what it makes, removed after it.
        models: saved models, for all rows.
        scale: what the sizes and counts of the issue are multiplied with.
        turns: how often each quantity is measured; the median counts.
    """

    home: Path
    models: Path
    scale: float = 1.0
    turns: int = 3

    def model(self, name: str, mebibytes: float) -> Path:
        """A saved model with weights of a size; `name` gives the format, as Keras would."""
        path = self.models / name
        if not path.exists() and not Path(f"{path}.index").exists():
            size = max(mebibytes * self.scale, 1.0) if mebibytes > 1 else mebibytes
            width = 2048 if size > 64 else 256
            python(["-c", _MAKE, str(path), str(size), str(width)])
        return path

    def seconds(self, script: str, *arguments: str | Path, turns: int = 0) -> list[float]:
        """What a script beside this file measures in an interpreter of its own, in seconds."""
        words = [str(_HERE / f"{script}.py"), *map(str, arguments), str(turns or self.turns)]
        found: list[float] = json.loads(python(words).splitlines()[-1])
        return found

    def count(self, number: int, least: int = 10) -> int:
        """A number of checkpoints, scaled."""
        return max(least, round(number * self.scale))


def python(words: list[str]) -> str:
    """Run this interpreter and return what it printed.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    env = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(_HERE.parents[1])}
    done = subprocess.run(
        [sys.executable, *words], check=False, capture_output=True, text=True, env=env
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)[:200]} failed:\n{done.stderr[-3000:]}")
    return done.stdout


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    model = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    versions = python(
        ["-c", "import tensorflow, keras; print(tensorflow.__version__, keras.__version__)"]
    )
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "tensorflow": versions.split()[0],
        "keras": versions.split()[1],
        "load": os.getloadavg()[0],
    }
