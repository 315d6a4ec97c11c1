"""A Keras job with ModelCheckpoint(save_best_only=True), killed in the middle of its last save.

Arguments: the path, and after how many saves the next one is torn. Each save waits for a line on
standard input, and prints one.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import keras
import numpy as np


class _Improving(keras.callbacks.Callback):  # type: ignore[misc]
    """Makes every epoch the best one so far, when it is asked to."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        sys.stdin.readline()
        assert logs is not None
        logs["val_loss"] = 1.0 / (epoch + 1)


class _Reporting(keras.callbacks.Callback):  # type: ignore[misc]
    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        _report(f"saved {epoch}")


def _report(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _kill_in_the_middle(epoch: int, path: str, whole: int) -> None:
    """Cut what was written short, as a kill in the middle of a write leaves it."""
    os.truncate(path, whole)
    _report(f"torn {epoch}")
    os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Train until the torn save."""
    path, count = sys.argv[1], int(sys.argv[2])
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8), keras.layers.Dense(1)])
    model.compile("sgd", "mse")

    class Torn(keras.callbacks.ModelCheckpoint):  # type: ignore[misc]
        """Dies after half of a save's bytes."""

        def _save_model(self, *arguments: Any, **keys: Any) -> None:
            super()._save_model(*arguments, **keys)
            if self._current_epoch >= count:
                _kill_in_the_middle(self._current_epoch, path, os.path.getsize(path) // 2)

    saver = Torn(path, monitor="val_loss", save_best_only=True)
    data = np.random.default_rng(1).normal(size=(32, 4))
    model.fit(
        data,
        data[:, :1],
        epochs=count + 1,
        verbose=0,
        callbacks=[_Improving(), saver, _Reporting()],
    )


if __name__ == "__main__":
    main()
