"""Which Keras a model comes from: Keras 3, tf-keras, or the Keras 2 of an older TensorFlow."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

from checkpointd.golden.model_runner import keras_of

__all__ = ["generation", "keras_of", "preferred_keras", "submodule"]


def preferred_keras() -> Any:
    """Find the library that a job uses before there is a model: what `tf.keras` would be."""
    legacy = os.environ.get("TF_USE_LEGACY_KERAS", "").lower() in ("1", "true")
    if legacy or ("tf_keras" in sys.modules and "keras" not in sys.modules):
        return importlib.import_module("tf_keras")
    return importlib.import_module("keras")


def generation(keras: Any) -> int:
    """The Keras generation of a library: 2 or 3."""
    return int(str(keras.__version__).partition(".")[0])


def writes_archives(keras: Any) -> bool:
    """Whether a library writes its own zip under the name `.keras`; before 2.13 that was HDF5."""
    major, minor = (int(part) for part in str(keras.__version__).split(".")[:2])
    return (major, minor) >= (2, 13)


def submodule(keras: Any, name: str) -> Any:
    """Import a private module of a Keras library, such as `saving.saving_lib`.

    Raises:
        ImportError: this version has none of that name.
    """
    try:
        return importlib.import_module(f"{keras.__name__}.src.{name}")
    except ImportError:  # before 2.13 there was no src
        return importlib.import_module(f"{keras.__name__}.{name}")
