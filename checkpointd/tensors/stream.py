"""The one pass: a file read in order, in blocks that stay in the cache, each fed to its readers.

Memory is one block, whatever the size of the file.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from checkpointd.formats import FormatError
from checkpointd.tensors import TensorSpec, TensorStats
from checkpointd.tensors.checksums import Block, Shifts
from checkpointd.tensors.statistics import Array, Statistics

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from checkpointd.tensors.source import Source

BLOCK = 1 << 20
"""Bytes read at once: small enough to stay in a core's cache while all readers use them."""

_ALIGNMENT = 16
_SHARED = 16
"""From how many blocks on readers share checksums, which takes 3 ms to prepare."""

_HUGE_PAGE = 1 << 21


class Sink(Protocol):
    """Takes the bytes of one piece, in order."""

    def feed(self, block: Block) -> None:
        """Take the next bytes."""


@dataclass(frozen=True)
class ByteRange:
    """A range of a file, in bytes, and who reads it."""

    offset: int
    size: int
    sink: Sink

    @property
    def end(self) -> int:
        """The offset of the first byte after it."""
        return self.offset + self.size


class Tally:
    """Everything that is learned of one tensor while its bytes go by."""

    def __init__(self, spec: TensorSpec, *, with_crc32c: bool = False) -> None:
        self.spec = spec
        self.crc32 = 0
        self.crc32c = 0
        self._with_crc32c = with_crc32c
        self._statistics = Statistics(spec.dtype)

    def feed(self, block: Block) -> None:
        """Take the next bytes."""
        self.crc32 = block.crc32_after(self.crc32)
        if self._with_crc32c:
            self.crc32c = block.crc32c_after(self.crc32c)
        self._statistics.feed(block.data)

    def result(self) -> TensorStats:
        """What was learned, once all bytes have gone by."""
        spec, counted = self.spec, self._statistics
        return TensorStats(
            name=spec.name,
            key=spec.key,
            role=spec.role,
            dtype=spec.dtype,
            shape=spec.shape,
            size_bytes=spec.size_bytes,
            nan=counted.nan,
            inf=counted.inf,
            sum_of_squares=counted.sum_of_squares,
            crc32=self.crc32,
            minus_inf=counted.minus_inf,
            decided_by=spec.decided_by,
        )


def arranged(pieces: Sequence[ByteRange]) -> list[ByteRange]:
    """Sort pieces by their place in the file.

    Raises:
        FormatError: two of them claim the same bytes.
    """
    result = sorted((p for p in pieces if p.size), key=lambda p: p.offset)
    for one, other in zip(result, result[1:]):
        if one.end > other.offset:
            raise FormatError("malformed", f"Two tensors claim the bytes at {other.offset}.")
    return result


def layered(pieces: Sequence[ByteRange]) -> list[list[ByteRange]]:
    """Sort pieces by their place in the file, in as few lists as no two overlap in one of them."""
    layers: list[list[ByteRange]] = []
    free: list[tuple[int, int]] = []
    for piece in sorted((p for p in pieces if p.size), key=lambda p: p.offset):
        if free and free[0][0] <= piece.offset:
            number = heapq.heapreplace(free, (piece.end, free[0][1]))[1]
        else:
            number = len(layers)
            layers.append([])
            heapq.heappush(free, (piece.end, number))
        layers[number].append(piece)
    return layers


def stream(
    source: Source, layers: Sequence[Sequence[ByteRange]], *, block_size: int = BLOCK
) -> None:
    """Read a whole file once, in order, and feed every piece its bytes.

    Args:
        source: the file.
        layers: lists of pieces; the pieces of one list are sorted and do not overlap, those of
            different lists may (a zip's member and the tensors in it).
        block_size: bytes read at once.

    Raises:
        FileShrankError: the file is shorter than when it was opened.
        OSError: it could not be read.
    """
    shifts = Shifts(block_size) if source.size > _SHARED * block_size else None
    nexts = [0] * len(layers)
    back = _back(layers) if block_size > _ALIGNMENT else 0
    for start, data in _windows(source, block_size, back):
        whole = Block(data, shifts if len(data) == block_size else None)
        stop = start + len(data)
        for number, pieces in enumerate(layers):
            index = nexts[number]
            while index < len(pieces) and pieces[index].offset < stop:
                piece = pieces[index]
                begin, end = max(piece.offset, start), min(piece.end, stop)
                if begin < end:
                    is_whole = begin == start and end == stop
                    piece.sink.feed(whole if is_whole else Block(data[begin - start : end - start]))
                if piece.end > stop:
                    break
                index += 1
            nexts[number] = index


def _back(layers: Sequence[Sequence[ByteRange]]) -> int:
    """How far each block begins before its place, so that most values lie as the CPU wants them.

    The smallest pieces are the tensors; where several are aligned differently, the largest counts.
    """
    pieces = max((p for p in layers if p), key=len, default=())
    largest = max(pieces, key=lambda p: p.size, default=None)
    return -largest.offset % _ALIGNMENT if largest is not None else 0


def _windows(source: Source, size: int, back: int) -> Iterator[tuple[int, Array]]:
    """Read a file in pages, and give it out in blocks that begin `back` bytes before those.

    Yields:
        The place of each block, and its bytes.
    """
    buffer = _buffer(back + min(size, source.size), large=source.size > _SHARED * size)
    view = buffer.view()
    view.flags.writeable = False
    for at in range(0, source.size, size):
        count = min(size, source.size - at)
        source.read_into(buffer[back : back + count], at)
        begin = 0 if at else back
        is_last = at + count == source.size
        yield at - back + begin, view[begin : back + count if is_last else size]
        if not is_last:
            buffer[:back] = buffer[size : size + back]


def _buffer(size: int, *, large: bool) -> Array:
    """Memory for one block; for a large file in a huge page, where the kernel has one.

    Copies into that take a fifth less time, and always the same. NumPy asks for huge pages from
    4 MiB on; what is not touched is not used.
    """
    if not large:
        return np.empty(size, np.uint8)
    memory = np.empty(max(size, _HUGE_PAGE) + 2 * _HUGE_PAGE, np.uint8)
    begin = -memory.ctypes.data % _HUGE_PAGE
    return memory[begin : begin + size]
