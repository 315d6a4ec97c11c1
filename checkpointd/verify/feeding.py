"""What a model is run on: the golden inputs where they fit, else inputs made from its own spec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd import golden

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.golden import Golden
    from checkpointd.verify.runtime import Signature, Spec

OPEN_SIZES = (8, 32, 224)
"""What is tried for a size that a model leaves open, the batch aside: words, patches, pixels."""

_SEED = 7


@dataclass(frozen=True)
class Feed:
    """Inputs by name for one signature.

    `made` tells made inputs from golden ones; `guessed` says that the spec left more open than
    the batch, so that a model that refuses them may be right.
    """

    arrays: Mapping[str, Any]
    made: bool
    guessed: bool = False


def from_record(record: Golden | None, signature: Signature) -> Feed | None:
    """Fit the golden inputs to a signature, by name, else by order; None when they do not fit."""
    if record is None or len(record.inputs) != len(signature.inputs) or not record.inputs:
        return None
    names = [spec.name for spec in signature.inputs]
    if set(names) == set(record.inputs):
        arrays = {name: record.inputs[name] for name in names}
    elif record.input_structure == golden.DICT:  # as tf.nest flattens it
        arrays = {name: record.inputs[key] for name, key in zip(names, sorted(record.inputs))}
    else:
        arrays = dict(zip(names, record.inputs.values()))
    fits = all(_fits(arrays[spec.name].shape, spec.shape) for spec in signature.inputs)
    return Feed(arrays, made=False) if fits else None


def make(signature: Signature, open_size: int) -> Feed:
    """Make inputs from a signature's spec: a batch of one, floats between 0 and 1, the rest zero.

    Raises:
        ValueError: an input is ragged or sparse, or its rank is unknown; the sentence says which.
    """
    rng = np.random.default_rng(_SEED)
    arrays = {spec.name: _make(spec, open_size, rng) for spec in signature.inputs}
    guessed = any(
        spec.dtype == "string" or None in (spec.shape or ())[1:] for spec in signature.inputs
    )
    return Feed(arrays, made=True, guessed=guessed)


def _make(spec: Spec, open_size: int, rng: np.random.Generator) -> Any:
    if spec.shape is None:
        kind = f"a {spec.dtype}" if spec.dtype.endswith("Spec") else "of unknown rank"
        raise ValueError(f"its input {spec.name!r} is {kind}")
    shape = tuple(
        size if size is not None else (1 if axis == 0 else open_size)
        for axis, size in enumerate(spec.shape)
    )
    if spec.dtype == "string":
        return np.full(shape, b"", object)
    if "float" in spec.dtype:
        wide = np.dtype(spec.dtype) if spec.dtype in ("float16", "float64") else np.dtype("float32")
        return rng.uniform(0.05, 0.95, shape).astype(wide)
    return np.zeros(shape, spec.dtype)


def _fits(shape: tuple[int, ...], declared: tuple[int | None, ...] | None) -> bool:
    return not wrong_shape(shape, declared)


def wrong_shape(shape: tuple[int, ...], declared: tuple[int | None, ...] | None) -> bool:
    """Whether an array's shape contradicts a declared one, None being any size."""
    if declared is None:
        return False
    return len(shape) != len(declared) or any(
        size is not None and size != actual for size, actual in zip(declared, shape)
    )
