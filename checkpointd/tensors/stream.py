"""The one pass: a file read in order, in blocks that stay in the cache, each fed to its readers.

`pread` and never mmap: a writer that truncates the file must not kill the reader. Memory is one
block, whatever the size of the file.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import os
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Protocol

import google_crc32c
import numpy as np

from checkpointd.formats import FormatError
from checkpointd.tensors import TensorSpec, TensorStats
from checkpointd.tensors.statistics import Array, Statistics

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BLOCK = 1 << 20
"""Bytes read at once: small enough to stay in the cache while all readers use it."""

_RWF_DONTCACHE = 0x80  # Linux 6.14: pages that this read brings in leave again, others stay


class Sink(Protocol):
    """Takes the bytes of one piece, in order."""

    def feed(self, block: Array) -> None:
        """Take the next bytes: a read-only, one-dimensional uint8 array that is reused after."""


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


class Checksum:
    """The CRC32C of the bytes fed, and zlib's CRC32 if wanted."""

    def __init__(self, *, with_crc32: bool = False) -> None:
        self.size = 0
        self.crc32c = 0
        self.crc32 = 0
        self._with_crc32 = with_crc32

    def feed(self, block: Array) -> None:
        """Take the next bytes."""
        self.size += len(block)
        self.crc32c = google_crc32c.extend(self.crc32c, block)
        if self._with_crc32:
            self.crc32 = zlib.crc32(block, self.crc32)


class Tally:
    """Everything that is learned of one tensor while its bytes go by."""

    def __init__(self, spec: TensorSpec, *, with_crc32c: bool = False) -> None:
        self.spec = spec
        self.crc32 = 0
        self.crc32c = 0
        self._with_crc32c = with_crc32c
        self._statistics = Statistics(spec.dtype)

    def feed(self, block: Array) -> None:
        """Take the next bytes."""
        self.crc32 = zlib.crc32(block, self.crc32)
        if self._with_crc32c:
            self.crc32c = google_crc32c.extend(self.crc32c, block)
        self._statistics.feed(block)

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


class FileShrankError(OSError):
    """The file ended before the size that it had when it was looked at."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.ESTALE, "the file became shorter while it was read", path)


class Source:
    """A file opened for positioned reads that leave the page cache as it was."""

    def __init__(self, path: str, file: IO[bytes] | None = None) -> None:
        self.path = path
        self._file = file or open(path, "rb", buffering=0)  # noqa: SIM115 - until close()
        self._fd = self._file.fileno()
        self._flags = _RWF_DONTCACHE
        self.size = os.fstat(self._fd).st_size

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @classmethod
    def of(cls, file: IO[bytes], path: str) -> Source:
        """Read from an open file, on behalf of the file that `path` names."""
        return cls(path, file)

    def read_into(self, buffer: Array, offset: int) -> None:
        """Fill a writable uint8 array from `offset` on.

        Raises:
            ShrunkError: the file ends before that.
            OSError: it could not be read.
        """
        done = 0
        while done < len(buffer):
            got = self._preadv(buffer[done:], offset + done)
            if got == 0:
                raise FileShrankError(self.path)
            done += got

    def read(self, offset: int, size: int) -> bytes:
        """Read `size` bytes; for what is small, such as a header."""
        buffer = np.empty(size, np.uint8)
        self.read_into(buffer, offset)
        return buffer.tobytes()

    def _preadv(self, buffer: Array, offset: int) -> int:
        try:
            return os.preadv(self._fd, [buffer], offset, self._flags)
        except OSError as error:
            if not self._flags or error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
            self._flags = 0  # an older kernel, or a file system that cannot
            return os.preadv(self._fd, [buffer], offset)


@contextlib.contextmanager
def opened(path: str) -> Iterator[Source]:
    """Open a file as a `Source` for the length of a `with` block."""
    source = Source(path)
    try:
        yield source
    finally:
        source.close()


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
        ShrunkError: the file is shorter than when it was opened.
        OSError: it could not be read.
    """
    buffer = np.empty(block_size, np.uint8)
    nexts = [0] * len(layers)
    for start in range(0, source.size, block_size):
        window = buffer[: min(block_size, source.size - start)]
        source.read_into(window, start)
        view = window.view()
        view.flags.writeable = False
        stop = start + len(window)
        for number, pieces in enumerate(layers):
            index = nexts[number]
            while index < len(pieces) and pieces[index].offset < stop:
                piece = pieces[index]
                begin, end = max(piece.offset, start), min(piece.end, stop)
                if begin < end:
                    piece.sink.feed(view[begin - start : end - start])
                if piece.end > stop:
                    break
                index += 1
            nexts[number] = index
