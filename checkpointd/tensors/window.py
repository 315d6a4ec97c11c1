"""A part of a file as a file."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from checkpointd.tensors.source import Source


class Window(io.RawIOBase):
    """A range of a file as a file: the HDF5 file inside a zip."""

    def __init__(self, source: Source, offset: int, size: int) -> None:
        super().__init__()
        self._source, self._offset, self._size, self._at = source, offset, size, 0

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be sought in."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to another place in the window."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        """The place in the window."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read from here on."""
        view = np.frombuffer(buffer, np.uint8)
        count = max(0, min(len(view), self._size - self._at))
        self._source.read_into(view[:count], self._offset + self._at)
        self._at += count
        return count
