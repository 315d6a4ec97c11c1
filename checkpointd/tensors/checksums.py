"""CRC-32 and CRC-32C of what streams by, each byte's once, however many readers want it.

A file, the archive's part in it and the tensor in that all want the checksum of the same bytes. A
block knows its own, and a checksum so far goes on from there by a linear function of its 32 bits,
the same for every block of one length: four look-ups instead of a pass over the bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

import google_crc32c

try:
    from zlib_ng.zlib_ng import crc32  # nine times as fast
except ImportError:  # in another interpreter than the daemon's
    from zlib import crc32

if TYPE_CHECKING:
    from checkpointd.tensors.statistics import Array

__all__ = ["Block", "Checksum", "Shifts", "crc32"]

_BITS = 32


def _crc32c(data: bytes | Array, value: int) -> int:
    return int(google_crc32c.extend(value, data))


class _Shift:
    """What a checksum turns into by blocks of one length: `extended(a, b)` is that of a then b."""

    def __init__(self, extend: Callable[[bytes | Array, int], int], size: int) -> None:
        zeros = bytes(size)
        base = extend(zeros, 0)
        columns = [extend(zeros, 1 << bit) ^ base for bit in range(_BITS)]
        self._tables = []
        for first in range(0, _BITS, 8):
            table = [0]
            for column in columns[first : first + 8]:
                table += [column ^ entry for entry in table]
            self._tables.append(table)

    def extended(self, before: int, own: int) -> int:
        """The checksum of the bytes that `before` is of, followed by a block's."""
        a, b, c, d = self._tables
        return (
            a[before & 0xFF]
            ^ b[before >> 8 & 0xFF]
            ^ c[before >> 16 & 0xFF]
            ^ d[before >> 24]
            ^ own
        )


class Shifts:
    """Makes blocks of one length whose checksums several readers share."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.crc32 = _Shift(crc32, size)
        self.crc32c = _Shift(_crc32c, size)


class Block:
    """The next bytes: a read-only, one-dimensional uint8 array that is reused afterwards."""

    __slots__ = ("_crc32", "_crc32c", "_shifts", "data")

    def __init__(self, data: Array, shifts: Shifts | None = None) -> None:
        self.data = data
        self._shifts = shifts
        self._crc32: int | None = None
        self._crc32c: int | None = None

    def crc32_after(self, before: int) -> int:
        """Zlib's CRC-32 of the bytes that `before` is of and of these."""
        if self._shifts is None:
            return int(crc32(self.data, before))
        if self._crc32 is None:
            self._crc32 = int(crc32(self.data, 0))
        return self._shifts.crc32.extended(before, self._crc32)

    def crc32c_after(self, before: int) -> int:
        """The CRC-32C of the bytes that `before` is of and of these."""
        if self._shifts is None:
            return _crc32c(self.data, before)
        if self._crc32c is None:
            self._crc32c = _crc32c(self.data, 0)
        return self._shifts.crc32c.extended(before, self._crc32c)


class Checksum:
    """The CRC32C of the bytes fed, and zlib's CRC32 if wanted."""

    def __init__(self, *, with_crc32: bool = False) -> None:
        self.size = 0
        self.crc32c = 0
        self.crc32 = 0
        self._with_crc32 = with_crc32

    def feed(self, block: Block) -> None:
        """Take the next bytes."""
        self.size += len(block.data)
        self.crc32c = block.crc32c_after(self.crc32c)
        if self._with_crc32:
            self.crc32 = block.crc32_after(self.crc32)
