"""Checks the outputs of one run: their declared shape, and NaN or Inf in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd.golden.arrays import Ragged
from checkpointd.verify.load.inputs.feeding import wrong_shape

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from checkpointd.verify.load.loaded import ArraySpec


@dataclass(frozen=True)
class Shaped:
    """An output that has another shape than it declares.

    `recorded`: the original's output for the same inputs has another shape too.
    """

    message: str
    recorded: bool = False


@dataclass(frozen=True)
class NonFinite:
    """An output with NaN or Inf in it.

    `recorded` counts the places where the original's output for the same inputs is finite; None
    where it is not known what the original gave.
    """

    message: str
    output: str
    count: int
    recorded: int | None = None


def misshapen(
    declared: Sequence[ArraySpec], outputs: Mapping[str, Any], expected: Mapping[str, Any]
) -> Shaped | None:
    """Find an output that contradicts its declared shape."""
    shapes = {spec.name: spec.shape for spec in declared}
    pairs = matched(outputs, expected)
    for key, value in outputs.items():
        shape = _shape(value)
        if wrong_shape(shape, shapes.get(key)):
            message = (
                f"gives {key!r} of shape {list(shape)}, and declares {list(shapes[key] or ())}"
            )
            return Shaped(message, key in pairs and _shape(pairs[key]) != shape)
    return None


def non_finite(outputs: Mapping[str, Any], expected: Mapping[str, Any]) -> NonFinite | None:
    """Find an output that is not finite where it should be, or could be.

    One that has NaN or Inf where the original has it, and nowhere else, is as it should be.
    """
    pairs = matched(outputs, expected)
    for key, value in outputs.items():
        bad = _bad(value)
        if bad is None or not bad.any():
            continue
        more: int | None = None
        before = _bad(pairs[key]) if key in pairs else None
        if before is not None and before.shape == bad.shape:
            more = int(np.count_nonzero(bad & np.logical_not(before)))
        if more != 0:
            count = int(np.count_nonzero(bad))
            message = f"gives {count} of {bad.size} values of {key!r} that are NaN or Inf"
            if more:
                message += f", {more} of them where the original gave a number"
            return NonFinite(message, key, count, more)
    return None


def matched(outputs: Mapping[str, Any], expected: Mapping[str, Any]) -> dict[str, Any]:
    """Return the original's outputs under the names of these: by name, else in their order."""
    if set(outputs) == set(expected):
        return dict(expected)
    if len(outputs) == len(expected):
        return dict(zip(outputs, expected.values()))
    return {}


def _bad(value: Any) -> Any:
    """Where an output is not finite; None where it has no such values."""
    array = np.asarray(value.values if isinstance(value, Ragged) else value)
    if array.dtype.isbuiltin != 1:  # ml_dtypes' narrow floats
        array = array.astype(np.float32) if array.dtype.kind == "V" else array
    return ~np.isfinite(array) if array.dtype.kind in "fc" else None


def _shape(value: Any) -> tuple[int | None, ...]:
    return value.shape if isinstance(value, Ragged) else tuple(np.shape(value))
