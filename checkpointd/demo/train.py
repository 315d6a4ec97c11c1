"""The demo's training job: a real Keras job that saves in every way people save models.

Run as a process of its own: `python -m checkpointd.demo.train DIRECTORY`.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

EPOCHS = 8
_EPOCH_SECONDS = 2.5
_SAMPLES = 12_000
_SEED = 20_260_101


def make_data(samples: int = _SAMPLES, seed: int = _SEED) -> tuple[Any, Any]:
    """Make two intertwined spirals in 16 noisy features.

    Returns:
        Inputs of shape (samples, 16), float32, and labels of shape (samples,), int32.
    """
    import numpy as np

    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, samples).astype("int32")
    turn = rng.uniform(0.5, 3.0, samples)
    angle = turn * np.pi + labels * np.pi
    points = np.stack([turn * np.cos(angle), turn * np.sin(angle)], axis=1)
    mixing = rng.normal(size=(2, 16))
    inputs = points @ mixing + rng.normal(scale=0.1, size=(samples, 16))
    return inputs.astype("float32"), labels


def make_model() -> Any:
    """Build and compile the classifier."""
    import keras

    keras.utils.set_random_seed(_SEED)
    model = keras.Sequential(
        [
            keras.layers.Input((16,), name="features"),
            keras.layers.Dense(96, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dense(96, activation="relu"),
            keras.layers.Dense(2, activation="softmax", name="classes"),
        ],
        name="spirals",
    )
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def main(directory: Path) -> None:
    """Train for some 30 seconds and save after every epoch, in every format."""
    import keras
    import tensorflow as tf

    from checkpointd.training import GoldenCheckpoint, save

    tf.config.threading.set_intra_op_parallelism_threads(1)
    inputs, labels = make_data()
    validation = (inputs[:1000], labels[:1000])
    golden = (inputs[:8], labels[:8])
    model = make_model()
    for name in ("classifier", "weights", "export"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    series = tf.train.CheckpointManager(
        tf.train.Checkpoint(model=model, optimizer=model.optimizer),
        str(directory / "checkpoints"),
        max_to_keep=3,
    )

    class EveryEpoch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras is untyped
        """What the two callbacks of Keras do not cover: SavedModel and tf.train checkpoints."""

        def __init__(self) -> None:
            super().__init__()
            self.started = 0.0

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            """Note when the epoch began."""
            del epoch, logs
            self.started = time.monotonic()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            """Save a series for tf.train, and every fourth epoch a version for serving."""
            series.save(checkpoint_number=epoch + 1)
            if epoch % 4 == 3:  # noqa: PLR2004 - every fourth
                metrics = {k: float(v) for k, v in (logs or {}).items()}
                save(
                    model,
                    str(directory / "export" / str(epoch // 4 + 1)),
                    golden=golden,
                    metrics=metrics,
                    step=epoch + 1,
                )
            time.sleep(max(0.0, self.started + _EPOCH_SECONDS - time.monotonic()))

    model.fit(
        inputs,
        labels,
        validation_data=validation,
        epochs=EPOCHS,
        batch_size=32,
        verbose=0,
        callbacks=[
            GoldenCheckpoint(
                str(directory / "classifier" / "best.keras"),
                golden=golden,
                monitor="val_loss",
                save_best_only=True,
            ),
            keras.callbacks.ModelCheckpoint(
                str(directory / "classifier" / "model_epoch_{epoch:02d}.h5"), verbose=0
            ),
            keras.callbacks.ModelCheckpoint(
                str(directory / "weights" / "epoch_{epoch:02d}.weights.h5"),
                save_weights_only=True,
                save_freq="epoch",
            ),
            EveryEpoch(),
        ],
    )
    save(model, str(directory / "classifier" / "final.h5"), golden=golden, step=EPOCHS)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
