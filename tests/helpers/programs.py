"""Small programs of TensorFlow 2 that are saved as SavedModels."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NUMBER = tf.TensorSpec([], tf.float32)


def saved(path: Path, function: Callable[..., Any], spec: Any = NUMBER, **attributes: Any) -> Path:
    """Save a module with one signature."""
    module = tf.Module()
    for name, value in attributes.items():
        setattr(module, name, value)
    module.serve = tf.function(function, input_signature=[spec])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tf.saved_model.save(module, str(path), signatures=module.serve)
    return path


def vocabulary(path: Path) -> Any:
    """A table that is read from a file."""
    path.write_text("cat\ndog\n")
    whole, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    start = tf.lookup.TextFileInitializer(str(path), tf.string, whole, tf.int64, number)
    return tf.lookup.StaticHashTable(start, -1)


def calls_python(x: Any) -> Any:
    """Give what a Python function makes of it."""
    return {"y": tf.ensure_shape(tf.numpy_function(lambda n: n, [x], tf.float32), [])}
