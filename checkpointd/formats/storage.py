"""How formats and watches reach files: three calls, so that object stores can be put behind them.

`LOCAL` is the file system. Nothing here writes, locks, maps or keeps a file open.
"""

from __future__ import annotations

import errno
import os
import stat as mode_bits
from typing import NamedTuple, Protocol


class Entry(NamedTuple):
    """One name in a directory; `is_dir` and `is_file` speak of the name itself, not of a link."""

    name: str
    is_dir: bool
    is_file: bool
    is_symlink: bool


class Stat(NamedTuple):
    """What the storage knows of one file, symbolic links followed; sizes in bytes.

    `tag` is what an object store calls this content; empty for a file.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    is_dir: bool
    is_file: bool
    tag: str = ""


class Storage(Protocol):
    """Where checkpoints are."""

    def scandir(self, path: str) -> list[Entry]:
        """List a directory, in no order.

        Raises:
            OSError: it cannot be listed.
        """
        ...

    def stat(self, path: str) -> Stat:
        """Look at one name, following symbolic links.

        Raises:
            OSError: it cannot be looked at; FileNotFoundError when it is gone.
        """
        ...

    def pread(self, path: str, offset: int, size: int) -> bytes:
        """Read up to `size` bytes at `offset`; fewer at the end of the file.

        Raises:
            OSError: it cannot be read, or it is no regular file.
        """
        ...


class LocalStorage:
    """The file system of this machine."""

    def scandir(self, path: str) -> list[Entry]:
        """List a directory."""
        with os.scandir(path) as entries:
            return [
                Entry(
                    entry.name,
                    entry.is_dir(follow_symlinks=False),
                    entry.is_file(follow_symlinks=False),
                    entry.is_symlink(),
                )
                for entry in entries
            ]

    def stat(self, path: str) -> Stat:
        """Look at one name."""
        found = os.stat(path)
        return Stat(
            found.st_dev,
            found.st_ino,
            found.st_size,
            found.st_mtime_ns,
            found.st_ctime_ns,
            mode_bits.S_ISDIR(found.st_mode),
            mode_bits.S_ISREG(found.st_mode),
        )

    def pread(self, path: str, offset: int, size: int) -> bytes:
        """Read a piece of a file; a pipe or a device never blocks it."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            if not mode_bits.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "Not a regular file", path)
            pieces = []
            while size > 0:
                piece = os.pread(descriptor, size, offset)
                if not piece:
                    break
                pieces.append(piece)
                offset += len(piece)
                size -= len(piece)
            return b"".join(pieces)
        finally:
            os.close(descriptor)


LOCAL: Storage = LocalStorage()
"""The file system of this machine."""
