"""What the makers of models share: inputs from a seed, and a model of one path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tests.helpers import models

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = np.array([["a cat sat"], ["a dog"], ["on the mat"], [""]], object)


def numbers(*shape: int, low: float = -1.0) -> np.ndarray:
    """Some float32 numbers."""
    rng = np.random.default_rng(models.SEED)
    return rng.uniform(low, 1.0, shape).astype("float32")


def integers(*shape: int, below: int) -> np.ndarray:
    """Some whole numbers from 0 on."""
    return np.random.default_rng(models.SEED).integers(0, below, shape, dtype=np.int32)


def through(keras: Any, inputs: np.ndarray, *layers: Any, dtype: str | None = None) -> Any:
    """A Sequential model of layers, and its inputs."""
    head = keras.layers.Input(inputs.shape[1:], dtype=dtype or str(inputs.dtype))
    return keras.Sequential([head, *layers]), inputs


def of_policy(policy: str) -> Callable[[Any], Any]:
    """A maker of a model with a precision policy."""

    def make(keras: Any) -> Any:
        before = (
            keras.mixed_precision.global_policy()
            if hasattr(keras.mixed_precision, "global_policy")
            else keras.mixed_precision.dtype_policy()
        )
        setter = getattr(keras.mixed_precision, "set_global_policy", None) or (
            keras.mixed_precision.set_dtype_policy
        )
        setter(policy)
        try:
            layers = keras.layers
            kind = "float64" if policy == "float64" else "float32"
            return through(
                keras,
                numbers(2, 8, 8, 3),
                layers.Conv2D(4, 3, activation="relu"),
                layers.BatchNormalization(),
                layers.Flatten(),
                layers.Dense(8, activation="tanh"),
                layers.Dense(3, dtype=kind if policy.startswith("mixed") else None),
                dtype=kind,
            )
        finally:
            setter(before)

    return make
