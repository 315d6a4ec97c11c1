"""What a model is run on: the golden inputs where they fit, else inputs made from its own spec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd import golden
from checkpointd.arrays import TEXT_KINDS, Ragged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.arrays import Array
    from checkpointd.golden import Golden
    from checkpointd.verify.runtime import Signature, Spec

OPEN_SIZES = (8, 32, 224)
"""What is tried for a size that a model leaves open, the batch aside: words, patches, pixels."""

_SEED = 7


@dataclass(frozen=True)
class Feed:
    """Inputs by name for one signature.

    `on` says what they are. `made` tells made inputs from given ones; `guessed` says that the spec
    left more open than the batch, so that a model that refuses them may be right.
    """

    arrays: Mapping[str, Any]
    made: bool
    guessed: bool = False
    on: str = "golden inputs"


def from_record(record: Golden | None, signature: Signature) -> Feed | None:
    """Fit the golden inputs to a signature, by name, else by order; None when they do not fit."""
    if record is None:
        return None
    return fitted(record.inputs, signature, by_name=record.input_structure == golden.DICT)


def fitted(
    inputs: Mapping[str, Array], signature: Signature, *, by_name: bool, on: str = "golden inputs"
) -> Feed | None:
    """Fit inputs to a signature, by name, else by order; None when they do not fit.

    Args:
        inputs: by name.
        signature: that is to take them.
        by_name: the names are the user's own, so that their order means nothing.
        on: what they are.
    """
    given = in_parts(inputs) if signature.in_parts else dict(inputs)
    if len(given) != len(signature.inputs) or not given:
        return None
    names = [spec.name for spec in signature.inputs]
    if set(names) == set(given):
        arrays = {name: given[name] for name in names}
    elif by_name:  # as tf.nest flattens it
        arrays = {name: given[key] for name, key in zip(names, sorted(given))}
    else:
        arrays = dict(zip(names, given.values()))
    fits = all(_fits(arrays[spec.name], spec) for spec in signature.inputs)
    return Feed(arrays, made=False, on=on) if fits else None


def in_parts(inputs: Mapping[str, Array]) -> dict[str, Any]:
    """Take ragged inputs apart, as a SavedModel's signature wants them: `x`, `x_1`, ...."""
    parts: dict[str, Any] = {}
    for name, value in inputs.items():
        pieces = value.components if isinstance(value, Ragged) else [value]
        parts.update((f"{name}_{i}" if i else name, piece) for i, piece in enumerate(pieces))
    return parts


def make(signature: Signature, open_size: int) -> Feed:
    """Make inputs from a signature's spec: a batch of one, floats between 0 and 1, the rest zero.

    Raises:
        ValueError: an input is sparse or no array, or its rank is unknown; the sentence says which.
    """
    rng = np.random.default_rng(_SEED)
    splits = _splits(signature)
    arrays = {
        spec.name: np.arange(2, dtype=spec.dtype)  # one row, of one value
        if spec.name in splits
        else _make(spec, open_size, rng)
        for spec in signature.inputs
    }
    guessed = bool(splits) or any(
        spec.dtype == "string" or None in (spec.shape or ())[1:] for spec in signature.inputs
    )
    return Feed(arrays, made=True, guessed=guessed, on="made inputs")


def _splits(signature: Signature) -> set[str]:
    """The inputs that may be the splits of a ragged one: `x_1` of whole numbers beside `x`."""
    if not signature.in_parts:
        return set()
    names = {spec.name for spec in signature.inputs}
    return {
        spec.name
        for spec in signature.inputs
        if spec.dtype in ("int32", "int64")
        and spec.shape == (None,)
        and spec.name.rpartition("_")[2].isdigit()
        and spec.name.rpartition("_")[0] in names
    }


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
    try:
        return np.zeros(shape, spec.dtype)
    except TypeError:
        raise ValueError(f"its input {spec.name!r} is of the type {spec.dtype}") from None


def _fits(array: Any, spec: Spec) -> bool:
    text = array.dtype.kind in TEXT_KINDS
    return text == (spec.dtype == "string") and not wrong_shape(array.shape, spec.shape)


def wrong_shape(shape: tuple[int | None, ...], declared: tuple[int | None, ...] | None) -> bool:
    """Whether an array's shape contradicts a declared one, None being any size."""
    if declared is None:
        return False
    return len(shape) != len(declared) or any(
        size is not None and size != actual for size, actual in zip(declared, shape)
    )
