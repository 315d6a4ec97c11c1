"""Whether a process has a file of a checkpoint open for writing: such a one is never moved.

What is written through a handle that was opened before a move would end in the trash. The kernel
answers exactly, for the processes of all users and containers of this machine: a read lease is
refused while anybody has the file open for writing (F_SETLEASE in fcntl(2)). It grants leases on
local file systems, to the file's owner and to root. Otherwise /proc is scanned, once in a while.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

from checkpointd.core.open_files import written_files
from checkpointd.retention.files import member_path, opened_root

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from checkpointd.core.checkpoint import Generation
    from checkpointd.ledger import Entry

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_SCAN_SECONDS = 1.0
_SCAN_SHARE = 20.0


class OpenFiles:
    """Finds writers of checkpoints; for one round, thread-safe.

    Args:
        names: base names of the files that will be asked about, for the scan of /proc.
    """

    def __init__(self, names: AbstractSet[str]) -> None:
        self._names = names
        self._lock = threading.Lock()
        self._written: set[tuple[int, int]] = set()
        self._next_scan = 0.0

    @classmethod
    def of(cls, entries: list[Entry]) -> OpenFiles:
        """For the files of some checkpoints."""
        return cls(
            {
                os.path.basename(member_path(os.path.basename(entry.path), member))
                for entry in entries
                for member in entry.generation.members
            }
        )

    def has_writer(self, dir_fd: int, name: str, generation: Generation) -> bool:
        """Whether a process has a file of a checkpoint open for writing, as far as can be known.

        Args:
            dir_fd: the directory that the checkpoint is in.
            name: its name there.
            generation: its files; what cannot be opened has no writer.
        """
        for member in generation.members:
            try:
                file = os.open(member_path(name, member), _FLAGS, dir_fd=dir_fd)
            except OSError:
                continue
            try:
                is_written = _is_written(file)
                if is_written is None:
                    found = os.fstat(file)
                    is_written = (found.st_dev, found.st_ino) in self._scanned()
            finally:
                os.close(file)
            if is_written:
                return True
        return False

    def is_written(self, entry: Entry) -> bool:
        """Whether a process has a file of the checkpoint at its path open for writing."""
        parent, _, name = entry.path.rpartition("/")
        try:
            with opened_root(parent or "/") as file:
                return self.has_writer(file, name, entry.generation)
        except OSError:
            return False

    def _scanned(self) -> set[tuple[int, int]]:
        with self._lock:
            began = time.monotonic()
            if began >= self._next_scan:
                with contextlib.suppress(OSError):
                    self._written = written_files(self._names, everyone=True)
                ended = time.monotonic()
                self._next_scan = ended + max(_SCAN_SECONDS, _SCAN_SHARE * (ended - began))
            return self._written


def _is_written(file: int) -> bool | None:
    """Whether anybody has an open file open for writing as well; None if the kernel cannot tell.

    The lease is given back at once. Whoever opens the file for writing in between waits for that,
    and the signal about it is one that is ignored unless it is handled.
    """
    try:
        fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    return False
