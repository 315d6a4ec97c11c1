"""A training job on JAX, in an interpreter without TensorFlow: it saves in every way there is.

Run with a directory; the last line that it prints is its result, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np

from checkpointd.training import GoldenCheckpoint, save

RNG = np.random.default_rng(3)
INPUTS = RNG.normal(size=(32, 6)).astype("float32")
LABELS = (INPUTS.sum(axis=1) > 0).astype("int64")
BATCH = (INPUTS[:8], LABELS[:8])


def build() -> Any:
    """A compiled classifier with states: averages, and the seed of its dropout."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((6,)),
            layers.Dense(8, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.3),
            layers.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.01), loss)
    return model


def trained(callbacks: list[Any]) -> Any:
    """The same training, with or without callbacks."""
    model = build()
    model.fit(INPUTS, LABELS, epochs=2, verbose=0, callbacks=callbacks)
    return model


def refusal(model: Any, path: str, format_name: str | None) -> str:
    """The error for a format that only TensorFlow writes."""
    try:
        save(model, path, golden=BATCH, format=format_name)
    except ValueError as error:
        return str(error)
    return ""


def main(directory: str) -> None:
    """Train and save."""
    home = Path(directory)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        model = trained(
            [
                GoldenCheckpoint(home / "called-{epoch:02d}.keras", golden=BATCH),
                GoldenCheckpoint(
                    home / "called-{epoch:02d}.weights.h5", golden=BATCH, save_weights_only=True
                ),
            ]
        )
        plain = trained([])
        save(model, home / "saved.keras", golden=BATCH, metrics={"loss": 0.5}, step=64)
        save(model, home / "saved.h5", golden=BATCH)
        keras.config.set_dtype_policy("mixed_bfloat16")
        save(trained([]), home / "bfloat16.keras", golden=BATCH)
    same = all(
        np.array_equal(a, b) for a, b in zip(model.get_weights(), plain.get_weights(), strict=True)
    )
    ours = [str(w.message) for w in seen if issubclass(w.category, RuntimeWarning)]
    result = {
        "warnings": ours,
        "undisturbed": same,
        "tensorflow": "tensorflow" in sys.modules,
        "savedmodel": refusal(model, str(home / "exported"), None),
        "tf_checkpoint": refusal(model, str(home / "ckpt"), "tf_checkpoint"),
    }
    print(json.dumps(result))  # noqa: T201 - the test reads it


if __name__ == "__main__":
    main(sys.argv[1])
