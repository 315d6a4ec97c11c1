"""For your checks: what `check(context)` is given, and what it may return.

A check is a function of one argument, named by `[[watch.verify.checks]]` in the config. It may
return a `Result` made by `passed`, `warned`, `failed` or `unknown` below. Without importing this
module it may return True or None (it passed), False (it failed), a text (what is wrong; empty: it
passed), or a dict such as `{"outcome": "warn", "word": "biased", "message": "…"}`.

This module is stable, needs Python 3.9 alone, and can be imported wherever checkpointd loads your
code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "Context",
    "Earlier",
    "Result",
    "Tensor",
    "failed",
    "passed",
    "unknown",
    "warned",
]


@dataclass(frozen=True)
class Tensor:
    """One weight of the model as it is stored.

    `norm` is Euclidean, of the finite values; None where the type has no floating values. `crc32`
    is `zlib.crc32` of the values' little-endian bytes in C order.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    norm: float | None
    crc32: int


@dataclass(frozen=True)
class Earlier:
    """The last valid checkpoint of the same series; its file may be gone by now."""

    path: str
    step: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Context:
    """What a check may read; it must not write.

    `path` is the checkpoint's (a directory, a file, or a TensorFlow checkpoint's prefix), `format`
    one of savedmodel, keras, hdf5, hdf5_weights, tf_checkpoint. `step` and `metrics` are what its
    name, its golden record and `evaluate` say. `tensors` holds the model's weights by name.
    `inputs` and `outputs` are those of the golden record by name, as numpy arrays; empty without
    one. `model` is the loaded Keras model, or what `tf.saved_model.load` gives; where only a
    session of TensorFlow 1 takes a SavedModel, it has `session` and `meta_graph`. It is None in
    stage "scan". `previous` is None for the first of a series, and for `checkpointd verify`.
    """

    path: str
    format: str
    step: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    model: Any = None
    previous: Earlier | None = None


@dataclass(frozen=True)
class Result:
    """What a check found.

    `outcome` is pass, warn, fail, error or skip. `word` (a-z, 0-9, _) makes the reason
    `<check>.<word>`; `message` is one plain sentence; `details` are facts that JSON can hold.
    """

    outcome: str
    word: str = ""
    message: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


def passed(message: str = "", **details: Any) -> Result:
    """Nothing is wrong."""
    return Result("pass", "", message, details)


def warned(word: str, message: str, **details: Any) -> Result:
    """It stays valid, with a warning; `fail_on` in the config makes it invalid."""
    return Result("warn", word, message, details)


def failed(word: str, message: str, **details: Any) -> Result:
    """The checkpoint is invalid."""
    return Result("fail", word, message, details)


def unknown(word: str, message: str, **details: Any) -> Result:
    """It could not be found out: the checkpoint is inconclusive."""
    return Result("error", word, message, details)
