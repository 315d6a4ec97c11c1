"""What is learned of the tensors of a bundle while their bytes go by, by how they are stored.

Source: tensorflow/core/util/tensor_bundle/tensor_bundle.cc (how strings are stored, what their
checksum covers, and what is swapped where a machine of the other byte order wrote them).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import google_crc32c
import numpy as np

from checkpointd.tensors.checksums import Block
from checkpointd.tensors.statistics import item_size
from checkpointd.tensors.stream import Tally

if TYPE_CHECKING:
    from checkpointd.tensors import TensorSpec

CHECKSUM_BYTES = 4

_VARINT_BYTES = 10
_NUMBER_END = 0x80
_UINT32 = 0xFFFFFFFF


def tally_for(spec: TensorSpec, *, big_endian: bool) -> Tally:
    """Choose what reads a tensor; its `crc32c` is what the index has to hold."""
    if spec.dtype == "string":
        return StringTally(spec, big_endian=big_endian)
    width = value_width(spec.dtype)
    if big_endian and width > 1:
        return SwappedTally(spec, width)
    return Tally(spec, with_crc32c=True)


def value_width(dtype: str) -> int:
    """Return the bytes whose order depends on the machine: of one value, or of half a complex."""
    width = item_size(dtype) or 1
    return width // 2 if dtype.startswith("complex") else width


def lengths_end(data: bytes) -> int:
    """Return where the length of one string ends that is stored at the beginning of `data`."""
    return next((i for i, byte in enumerate(data[:_VARINT_BYTES]) if byte < _NUMBER_END), 0) + 1


class SwappedTally(Tally):
    """A tensor whose numbers have their most significant byte first.

    The stored CRC32C is that of the stored bytes; everything else is of the swapped ones.
    """

    def __init__(self, spec: TensorSpec, width: int) -> None:
        super().__init__(spec)
        self._width = width
        self._stored = 0
        self._left = b""

    def feed(self, block: Block) -> None:
        """Take the next bytes."""
        self._stored = block.crc32c_after(self._stored)
        data = np.frombuffer(self._left + block.data.tobytes(), np.uint8)
        whole = len(data) - len(data) % self._width
        self._left = data[whole:].tobytes()
        if whole:
            swapped = np.ascontiguousarray(data[:whole].reshape(-1, self._width)[:, ::-1])
            super().feed(Block(swapped.reshape(-1)))
        self.crc32c = self._stored


class StringTally(Tally):
    """A tensor of strings: lengths as varints, their checksum, then all bytes.

    The stored CRC32C covers each length as four bytes (eight if it needs them) in the byte order
    of the machine that wrote it, the checksum of the lengths, and the bytes.
    """

    def __init__(self, spec: TensorSpec, *, big_endian: bool = False) -> None:
        super().__init__(spec)
        self._head = b""
        self._missing = math.prod(spec.shape)
        self._at_bytes = False
        self._big_endian = big_endian

    def feed(self, block: Block) -> None:
        """Take the next bytes."""
        if not self._at_bytes:
            data = self._head + block.data.tobytes()
            at = self._lengths(data)
            if self._missing or len(data) < at + CHECKSUM_BYTES:
                self._head = data[at:]
                return
            self._at_bytes = True
            block = Block(np.frombuffer(data, np.uint8)[at:])
        self.crc32c = block.crc32c_after(self.crc32c)

    def _lengths(self, data: bytes) -> int:
        at = 0
        while self._missing:
            end = next(
                (i for i in range(at, min(at + _VARINT_BYTES, len(data))) if data[i] < _NUMBER_END),
                None,
            )
            if end is None:
                break
            length = sum((data[i] & 0x7F) << (7 * (i - at)) for i in range(at, end + 1))
            width = 4 if length <= _UINT32 else 8
            encoded = (length & ((1 << 64) - 1)).to_bytes(
                width, "big" if self._big_endian else "little"
            )
            self.crc32c = google_crc32c.extend(self.crc32c, encoded)
            self._missing -= 1
            at = end + 1
        return at
