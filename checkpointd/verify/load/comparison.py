"""Compares the outputs of a model with those that the original gave.

Where the model computes in 16 bits, the tolerances are at least two units in the last place of
that type: 2e-3 for float16, 1.6e-2 for bfloat16.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd.golden.arrays import Ragged

if TYPE_CHECKING:
    from collections.abc import Callable

_SIXTEEN_BITS = {"bfloat16": 1.6e-2, "float16": 2e-3}


@dataclass(frozen=True)
class Difference:
    """How one output differs from its golden values.

    `max_abs` and `max_rel` are the largest differences (infinite where one is not finite and the
    other is, or where the shapes differ); `beyond` counts the values outside the tolerance.
    """

    output: str
    max_abs: float
    max_rel: float
    beyond: int
    size: int


@dataclass(frozen=True)
class Pair:
    """One output: what the original gave, what came now, and how to compute it again."""

    name: str
    expected: Any
    actual: Any
    compute_again: Callable[[], Any]


def compare_pair(pair: Pair, atol: float, rtol: float, policy: str) -> Difference:
    """Compare one output, with the tolerances of the narrowest type that it went through."""
    kinds = f"{policy} {_kind(pair.expected)} {_kind(pair.actual)}"
    return compare(pair.name, pair.expected, pair.actual, *tolerances(atol, rtol, kinds))


def _kind(values: Any) -> str:
    return str(getattr(values, "dtype", ""))


def tolerances(atol: float, rtol: float, policy: str) -> tuple[float, float]:
    """Widen tolerances for a model that computes in 16 bits."""
    for name, least in _SIXTEEN_BITS.items():
        if name in policy:
            return max(atol, least), max(rtol, least)
    return atol, rtol


def compare(name: str, expected: Any, actual: Any, atol: float, rtol: float) -> Difference:
    """Compare one output with its golden values: `abs(a - g) <= atol + rtol * abs(g)`.

    NaN equals NaN and an infinity equals itself; what is no number has to be equal, and so have
    the lengths of rows in a ragged output.
    """
    if isinstance(expected, Ragged) or isinstance(actual, Ragged):
        if not _same_rows(expected, actual):
            size = int(np.size(getattr(expected, "values", expected)))
            return Difference(name, np.inf, np.inf, max(size, 1), size)
        expected, actual = expected.values, actual.values
    expected, actual = _plain(expected), _plain(actual)
    if expected.shape != actual.shape:
        return Difference(name, np.inf, np.inf, max(expected.size, 1), expected.size)
    if expected.dtype.kind not in "biufc" or actual.dtype.kind not in "biufc":
        beyond = int(np.count_nonzero(texts(expected) != texts(actual)))
        return Difference(name, float(beyond > 0), float(beyond > 0), beyond, expected.size)
    exact = expected.dtype.kind in "biu" and actual.dtype.kind in "biu"
    wide = np.complex128 if "c" in (expected.dtype.kind, actual.dtype.kind) else np.float64
    golden_values, values = expected.astype(wide), actual.astype(wide)
    same = (golden_values == values) | (np.isnan(golden_values) & np.isnan(values))
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        gap = np.where(same, 0.0, np.abs(values - golden_values))
        size = np.abs(golden_values)
        gap = np.where(np.isfinite(gap), gap, np.inf)
        relative = np.where(gap == 0, 0.0, gap / size)
        relative = np.where(np.isnan(relative), np.inf, relative)
        allowed = 0.0 if exact else atol + rtol * np.where(np.isfinite(size), size, 0.0)
        beyond = int(np.count_nonzero(gap > allowed))
    largest = float(gap.max(initial=0.0))
    return Difference(name, largest, float(relative.max(initial=0.0)), beyond, expected.size)


def _same_rows(one: Any, other: Any) -> bool:
    if not (isinstance(one, Ragged) and isinstance(other, Ragged)):
        return False
    return len(one.splits) == len(other.splits) and all(
        np.array_equal(a, b) for a, b in zip(one.splits, other.splits)
    )


def _plain(values: Any) -> Any:
    array = np.asarray(values)
    return array.astype(np.float32) if array.dtype.kind == "V" else array


def texts(array: Any) -> Any:
    """Return the values of an array as texts."""
    return np.array(
        [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in array.flat],
        dtype=object,
    )
