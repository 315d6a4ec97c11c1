"""Training jobs and a reader as they are beside a daemon: `python -m … JOB DIRECTORY SAVES`.

A job that meets an error ends with its traceback; one that comes through prints what it did.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

import keras
import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable

PAUSE = 0.05
"""Seconds between two saves: long enough for the daemon to work in between."""


def _managed(directory: Path, saves: int, max_to_keep: int | None) -> str:
    """A CheckpointManager; the job is started again from the latest one in the middle."""
    for begun in (0, saves // 2):
        step = tf.Variable(0, dtype=tf.int64)
        weights = tf.Variable(np.zeros((16, 16), "float32"))
        checkpoint = tf.train.Checkpoint(step=step, weights=weights)
        manager = tf.train.CheckpointManager(checkpoint, str(directory), max_to_keep=max_to_keep)
        restored = manager.restore_or_initialize()
        assert bool(restored) == bool(begun), (restored, begun)
        assert int(step) == begun, (int(step), begun)
        for number in range(begun + 1, (saves if begun else saves // 2) + 1):
            step.assign(number)
            weights.assign(np.full((16, 16), number, "float32"))
            manager.save(checkpoint_number=number)
            time.sleep(PAUSE)
    listed = list(manager.checkpoints)
    for path in listed:
        checkpoint.restore(path).assert_consumed()
        assert float(weights[0, 0]) == float(path.rpartition("-")[2]), path
    assert tf.train.latest_checkpoint(str(directory)) == f"{directory}/ckpt-{saves}"
    return f"{saves} saves of a CheckpointManager (max_to_keep = {max_to_keep})"


def limited_manager(directory: Path, saves: int) -> str:
    """A CheckpointManager that removes its own."""
    return _managed(directory, saves, 3)


def unlimited_manager(directory: Path, saves: int) -> str:
    """A CheckpointManager that leaves that to the daemon."""
    return _managed(directory, saves, None)


class _Pausing(keras.callbacks.Callback):  # type: ignore[misc]
    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Leave the daemon time."""
        time.sleep(PAUSE)


def fit(directory: Path, saves: int) -> str:
    """Keras with four callbacks that save after each epoch."""
    keras.utils.set_random_seed(1)
    inputs = np.random.default_rng(1).normal(size=(32, 4)).astype("float32")
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
    model.compile(keras.optimizers.SGD(0.001), keras.losses.MeanSquaredError())
    saving = keras.callbacks.ModelCheckpoint
    best = f"{directory}/best.keras"
    model.fit(
        inputs,
        inputs[:, :2],
        epochs=saves,
        verbose=0,
        callbacks=[
            saving(f"{directory}/epoch_{{epoch:04d}}.keras"),
            saving(f"{directory}/epoch_{{epoch:04d}}.weights.h5", save_weights_only=True),
            saving(best, monitor="loss", save_best_only=True),
            keras.callbacks.BackupAndRestore(f"{directory}/backup", delete_checkpoint=False),
            _Pausing(),
        ],
    )
    for path in (best, f"{directory}/epoch_{saves:04d}.keras"):
        loaded = keras.models.load_model(path)
        assert np.allclose(loaded.predict(inputs, verbose=0), model.predict(inputs, verbose=0))
    model.load_weights(f"{directory}/epoch_{saves:04d}.weights.h5")
    return f"{4 * saves} saves of Keras callbacks"


class _Versioned(tf.Module):  # type: ignore[misc]
    def __init__(self, version: int) -> None:
        super().__init__()
        self.version = tf.Variable(version, dtype=tf.int64)

    @tf.function(input_signature=[])  # type: ignore[misc]
    def __call__(self) -> Any:
        """The version that this is."""
        return tf.identity(self.version)


def export(directory: Path, saves: int) -> str:
    """An exporter of versions for TensorFlow Serving: each comes whole, by a rename."""
    outside = directory.with_name(f"{directory.name}-being-written")
    for number in range(1, saves + 1):
        tf.saved_model.save(_Versioned(number), str(outside / str(number)))
        (outside / str(number)).rename(directory / str(number))
        time.sleep(PAUSE)
    return f"{saves} exports"


def serve(directory: Path, saves: int) -> str:
    """As TensorFlow Serving does: polls for the highest version, and loads it."""
    loads, version = 0, 0
    deadline = time.monotonic() + 60 + 3 * saves
    while version < saves:
        assert time.monotonic() < deadline, f"version {saves} never came, {version} is the highest"
        found = max((int(n) for n in os.listdir(directory) if n.isdigit()), default=0)
        if found == version:
            time.sleep(PAUSE / 5)
            continue
        assert found > version, f"version {found} was the highest after {version}"
        version = found
        loaded = tf.saved_model.load(str(directory / str(version)))
        assert int(loaded()) == version
        loads += 1
    return f"{loads} loads of the highest version"


JOBS: dict[str, Callable[[Path, int], str]] = {
    job.__name__: job for job in (limited_manager, unlimited_manager, fit, export, serve)
}
"""Every job by its name."""

if __name__ == "__main__":
    for name in sys.argv[1].split(","):
        place = "serving" if name in ("export", "serve") else name
        print(JOBS[name](Path(sys.argv[2]) / place, int(sys.argv[3])), flush=True)  # noqa: T201
