"""Whether two contents of one length differ in a single byte, shown by their checksums alone.

A CRC is linear: how two checksums differ depends on where and how the contents do, and on nothing
else. One changed byte leaves one of 255 differences for each position, of 2**32 that are possible.
Two checksums of different polynomials leave no doubt, in a file of any size.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from checkpointd.tensors.statistics import Array

CRC32C, CRC32 = 0x82F63B78, 0xEDB88320
"""The polynomials, with the highest power in the lowest bit."""

_STRIDE = 4096
_MOST_BYTES = 256 << 20
_BYTE, _WORD = 8, 32
_LARGEST_BYTE = 255


@dataclass(frozen=True)
class Difference:
    """How the checksums of two contents differ: `polynomial`, and the one XOR the other."""

    polynomial: int
    bits: int


def chance_of_one_byte(size: int, differences: tuple[Difference, ...]) -> float | None:
    """Return how likely contents that differ in more look as if they differed in one byte.

    Args:
        size: how many bytes each of the two has.
        differences: of one checksum or of two.

    Returns:
        None if they do not look so, or if they are too long to tell; lower for a single bit.
    """
    if size > _MOST_BYTES or not all(d.bits for d in differences):
        return None
    changes = _changes(size, differences)
    if not changes:
        return None
    patterns = _BYTE if any(bits & (bits - 1) == 0 for bits in changes) else 255
    return min(1.0, size * patterns / 2.0 ** (_WORD * len(differences)))


def _changes(size: int, differences: tuple[Difference, ...]) -> set[int]:
    """How the one byte may have changed, at whichever positions; empty if at none."""
    steps = [_undone(d.polynomial) for d in differences]
    strides = -(-size // _STRIDE)
    states = [_at_strides(difference, strides) for difference in differences]
    changes: set[int] = set()
    for offset in range(min(size, _STRIDE)):
        states = [_undo(step, state) for step, state in zip(steps, states)]
        fits = states[0] <= _LARGEST_BYTE
        for state in states[1:]:
            fits &= state == states[0]
        for stride in np.flatnonzero(fits):
            if stride * _STRIDE + offset < size:
                changes.add(int(states[0][stride]))
    return changes


@lru_cache
def _undone(polynomial: int) -> Array:
    """What is XORed, by the highest byte of a checksum, to undo one byte of zeros after it."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(_BYTE):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(polynomial), table >> 1)
    table = table.astype(np.uint32)
    undone = np.empty(256, np.uint32)
    undone[table >> 24] = (table << np.uint32(8)) | np.arange(256, dtype=np.uint32)
    return undone


def _undo(step: Array, state: Array) -> Array:
    return (state << np.uint32(8)) ^ step[state >> np.uint32(24)]


@lru_cache
def _stride_undone(polynomial: int) -> list[list[int]]:
    """What each byte of a checksum becomes when one stride of zeros after it is undone."""
    step = _undone(polynomial)
    basis = np.concatenate(
        [np.arange(256, dtype=np.uint32) << np.uint32(_BYTE * i) for i in range(4)]
    )
    for _ in range(_STRIDE):
        basis = _undo(step, basis)
    return [[int(value) for value in basis[256 * i : 256 * (i + 1)]] for i in range(4)]


def _at_strides(difference: Difference, count: int) -> Array:
    """The difference with each number of strides undone, from none on."""
    jump, bits = _stride_undone(difference.polynomial), difference.bits
    states = np.empty(count, np.uint32)
    for i in range(count):
        states[i] = bits
        bits = (
            jump[0][bits & 0xFF]
            ^ jump[1][bits >> 8 & 0xFF]
            ^ jump[2][bits >> 16 & 0xFF]
            ^ jump[3][bits >> 24]
        )
    return states
