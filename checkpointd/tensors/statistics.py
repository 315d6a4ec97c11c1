"""What is counted in a tensor while it streams by: NaN, infinities, the sum of squares.

Works on raw little-endian bytes in pieces of any length, also where a piece ends inside a value.
A row whose sum of squares is finite holds no NaN and no infinity, so one multiplication a value
settles the common case; only a row that fails is looked at again.
"""

from __future__ import annotations

import math
from typing import Any, Callable

import numpy as np

Array = Any
"""A numpy array; the generic type has other parameters in every numpy that we support."""

_ROW = 4096
_E4M3FN_NAN = (0x7F, 0xFF)

_ITEM_SIZES = {
    "bfloat16": 2,
    "float8_e5m2": 1,
    "float8_e4m3fn": 1,
    "float8_e4m3fnuz": 1,
    "float8_e4m3b11fnuz": 1,
    "float8_e5m2fnuz": 1,
    "int4": 1,
    "uint4": 1,
    "int2": 1,
    "uint2": 1,
    "float4_e2m1fn": 1,
    "qint8": 1,
    "quint8": 1,
    "qint16": 2,
    "quint16": 2,
    "qint32": 4,
}


def item_size(dtype: str) -> int | None:
    """Bytes of one stored value; None for types without a fixed size (strings, opaque ones)."""
    if dtype in _ITEM_SIZES:
        return _ITEM_SIZES[dtype]
    try:
        numpy_dtype = np.dtype(dtype)
    except TypeError:
        return None
    return numpy_dtype.itemsize if numpy_dtype.kind in "fciub" else None


class Statistics:
    """Counts over one tensor's bytes, fed in order and in pieces of any length."""

    def __init__(self, dtype: str) -> None:
        self.nan = 0
        self.inf = 0
        self.minus_inf = 0
        self._sum = 0.0
        self._decode = decoder(dtype)
        self._item_size = item_size(dtype) or 1
        self._rest = b""

    @property
    def sum_of_squares(self) -> float | None:
        """Of the finite values; None where there is nothing to square, or it overflowed."""
        return self._sum if self._decode is not None and math.isfinite(self._sum) else None

    def feed(self, block: Array) -> None:
        """Count the values in the next bytes (a one-dimensional uint8 array)."""
        if self._decode is None:
            return
        if self._rest:
            missing = self._item_size - len(self._rest)
            self._rest += block[:missing].tobytes()
            if len(self._rest) < self._item_size:
                return
            self._count(self._decode(np.frombuffer(self._rest, np.uint8)))
            self._rest = b""
            block = block[missing:]
        whole = len(block) - len(block) % self._item_size
        if whole < len(block):
            self._rest = block[whole:].tobytes()
        if whole:
            self._count(self._decode(block[:whole]))

    def _count(self, values: Array) -> None:
        if values.dtype.kind == "c":
            nan, inf = np.isnan(values), np.isinf(values)
            bad = nan | inf
            if bad.any():
                self.nan += int(np.count_nonzero(nan))
                self.inf += int(np.count_nonzero(inf))
                self.minus_inf += int(np.count_nonzero(np.isneginf(values.real[inf])))
                values = values[~bad]
            values = values.view(values.real.dtype)
        full = len(values) - len(values) % _ROW
        if full:
            self._count_rows(values[:full].reshape(-1, _ROW))
        if full < len(values):
            self._count_rows(values[full:].reshape(1, -1))

    def _count_rows(self, rows: Array) -> None:
        with np.errstate(all="ignore"):
            sums = np.matmul(rows[:, None, :], rows[:, :, None]).reshape(-1)
            fine = np.isfinite(sums)
            if fine.all():
                self._sum += float(sums.sum(dtype=np.float64))
                return
            self._sum += float(sums[fine].sum(dtype=np.float64))
            odd = rows[~fine]
            nan, inf = np.isnan(odd), np.isinf(odd)
            self.nan += int(np.count_nonzero(nan))
            self.inf += int(np.count_nonzero(inf))
            self.minus_inf += int(np.count_nonzero(inf & (odd < 0)))
            finite = odd[~(nan | inf)].astype(np.float64)
            self._sum += float(np.einsum("i,i->", finite, finite))


def decoder(dtype: str) -> Callable[[Array], Array] | None:
    """The function that turns bytes into floating-point values; None if there are none."""
    special = {
        "bfloat16": _from_bfloat16,
        "float8_e5m2": _from_e5m2,
        "float8_e4m3fn": _from_e4m3fn,
    }.get(dtype)
    if special is not None:
        return special
    if item_size(dtype) is None or dtype in _ITEM_SIZES:
        return None
    numpy_dtype = np.dtype(dtype)
    if numpy_dtype.kind == "b":
        return None
    wide = {"float16": np.float32}.get(
        numpy_dtype.name, None if numpy_dtype.kind in "fc" else np.float64
    )

    def decode(block: Array) -> Array:
        values = np.frombuffer(block, numpy_dtype)
        if wide is not None:
            return values.astype(wide)
        return values if values.flags.aligned else values.copy()

    return decode


def _from_bfloat16(block: Array) -> Array:
    return (np.frombuffer(block, "<u2").astype(np.uint32) << 16).view(np.float32)


def _from_e5m2(block: Array) -> Array:
    return (block.astype(np.uint16) << 8).view(np.float16).astype(np.float32)


def _from_e4m3fn(block: Array) -> Array:
    return _E4M3FN[block]


def _e4m3fn_table() -> Array:
    """All 256 values: sign, 4 bits of exponent (bias 7), 3 of mantissa, no infinity."""
    codes = np.arange(256)
    exponent, mantissa = (codes >> 3) & 0xF, codes & 0x7
    values = np.where(
        exponent == 0, mantissa / 8 * 2.0**-6, (1 + mantissa / 8) * 2.0 ** (exponent - 7.0)
    )
    values[np.isin(codes, _E4M3FN_NAN)] = np.nan
    return np.where(codes & 0x80, -values, values).astype(np.float32)


_E4M3FN = _e4m3fn_table()
