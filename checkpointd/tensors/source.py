"""A file opened for reading that leaves the page cache as it was.

`pread` and never mmap: a writer that truncates the file must not kill the reader.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import IO, TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.tensors.statistics import Array

_RWF_DONTCACHE = 0x80  # Linux 6.14: pages that this read brings in leave again, others stay


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
            FileShrankError: the file ends before that.
            OSError: it could not be read.
        """
        done = 0
        while done < len(buffer):
            got = self._preadv(buffer[done:], offset + done)
            if got == 0:
                raise FileShrankError(self.path)
            done += got

    def first_hole(self) -> int:
        """Return where the first part begins that nothing was written to; its size if none does."""
        try:
            return os.lseek(self._fd, 0, os.SEEK_HOLE)
        except OSError:  # a file system that does not know
            return self.size

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
