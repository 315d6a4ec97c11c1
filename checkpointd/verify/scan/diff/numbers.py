"""How far the values of two tensors differ: block by block, in float64."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from checkpointd.tensors.statistics import decoder, item_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from checkpointd.tensors.statistics import Array

_VALUES = 1 << 16
"""Values compared at once: they stay in the cache as float64."""


@dataclass
class Difference:
    """Two tensors of one shape compared.

    `differing` counts positions with different values; two NaN are equal, and so are two
    infinities of one sign. `finiteness` counts those where one value or both are no number and they
    differ; the sizes below leave these out. `relative` is `|a - b| / max(|a|, |b|)`.
    `comparable` is False where the types have no common scale: then `differing` is 0 or 1.
    """

    values: int = 0
    differing: int = 0
    finiteness: int = 0
    absolute: float = 0.0
    relative: float = 0.0
    sum_of_squares: float = 0.0
    comparable: bool = True

    @property
    def norm(self) -> float:
        """The Euclidean norm of the difference of the finite values."""
        return math.sqrt(self.sum_of_squares)


def comparable(first: str, second: str) -> bool:
    """Whether the difference of values of two types means anything: not of float and int8."""
    return _kind(first) == _kind(second) != ""


def _kind(dtype: str) -> str:
    if dtype == "bool":
        return "bool"
    if decoder(dtype) is None:
        return ""
    return "integer" if dtype.startswith(("int", "uint")) else "floating"


def compare(
    first: Iterable[Array], first_dtype: str, second: Iterable[Array], second_dtype: str
) -> Difference:
    """Compare the bytes of two tensors of one shape.

    Args:
        first: blocks of the one.
        first_dtype: its type.
        second: blocks of the other, of any length.
        second_dtype: its type.
    """
    difference = Difference()
    if not comparable(first_dtype, second_dtype):
        difference.comparable = False
        difference.differing = int(not _same_bytes(first, second))
        return difference
    ones = chunks(first, item_size(first_dtype) or 1)
    others = chunks(second, item_size(second_dtype) or 1)
    for one, other in zip(ones, others):
        if first_dtype == second_dtype and np.array_equal(one, other):
            difference.values += len(one) // (item_size(first_dtype) or 1)
            continue
        _count(difference, decoded(one, first_dtype), decoded(other, second_dtype))
    return difference


def _same_bytes(first: Iterable[Array], second: Iterable[Array]) -> bool:
    ones, others = chunks(first, 1), chunks(second, 1)
    while True:
        one, other = next(ones, None), next(others, None)
        if one is None or other is None:
            return one is other
        if not np.array_equal(one, other):
            return False


def chunks(blocks: Iterable[Array], width: int) -> Iterator[Array]:
    """Cut blocks of any length into pieces of one number of values; only the last is shorter."""
    size = _VALUES * width
    rest = np.empty(0, np.uint8)
    for block in blocks:
        data = np.concatenate([rest, block]) if len(rest) else block
        whole = len(data) - len(data) % size
        for start in range(0, whole, size):
            yield data[start : start + size]
        rest = data[whole:].copy()
    if len(rest):
        yield rest


def decoded(block: Array, dtype: str) -> Array:
    """Turn bytes into numbers that can be subtracted; integers stay exact."""
    if dtype == "bool":
        return np.frombuffer(block, np.uint8)
    if dtype.startswith(("int", "uint")):
        return np.frombuffer(block, dtype)
    decode = decoder(dtype)
    assert decode is not None  # noqa: S101 - `comparable` has asked
    values = decode(block)
    return values.astype(np.complex128 if values.dtype.kind == "c" else np.float64)


def _count(difference: Difference, first: Array, second: Array) -> None:
    difference.values += len(first)
    with np.errstate(all="ignore"):
        if first.dtype.kind in "iu" and second.dtype.kind in "iu":
            distance = _exact(first, second)
            first, second = first.astype(np.float64), second.astype(np.float64)
            odd = np.zeros(len(first), bool)
        else:
            finite_one, finite_other = np.isfinite(first), np.isfinite(second)
            odd = ~(finite_one & finite_other)
            distance = np.abs(first - second)
        if odd.any():
            equal = (first[odd] == second[odd]) | (np.isnan(first[odd]) & np.isnan(second[odd]))
            wrong = int(np.count_nonzero(~equal))
            difference.finiteness += wrong
            difference.differing += wrong
            first, second, distance = first[~odd], second[~odd], distance[~odd]
        if not len(distance):
            return
        difference.differing += int(np.count_nonzero(distance))
        difference.absolute = max(difference.absolute, float(distance.max()))
        scale = np.maximum(np.abs(first), np.abs(second))
        ratio = np.divide(distance, scale, out=np.zeros_like(distance), where=scale > 0)
        difference.relative = max(difference.relative, float(ratio.max()))
        difference.sum_of_squares += float(np.dot(distance, distance))


def _exact(first: Array, second: Array) -> Array:
    """The distance of integers, which float64 would round before it subtracts."""
    if first.dtype != second.dtype:
        return np.abs(first.astype(np.float64) - second.astype(np.float64))
    unsigned = np.dtype(f"u{first.dtype.itemsize}")
    larger, smaller = np.maximum(first, second), np.minimum(first, second)
    return (larger.view(unsigned) - smaller.view(unsigned)).astype(np.float64)
