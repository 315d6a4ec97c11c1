"""Whether a process has a file of a checkpoint open; if so, the checkpoint is not moved.

What is written through a handle that was opened before a move would end in the trash, and a reader
of several files would not find the next one. The kernel answers exactly, for the processes of all
users and containers of this machine: a read lease is refused while anybody has the file open for
writing, a write lease while anybody else has it open at all or mapped (F_SETLEASE in fcntl(2)). It
grants leases on local file systems, to the file's owner and to root. Otherwise /proc is scanned,
once in a while.
"""

from __future__ import annotations

import contextlib
import enum
import errno
import fcntl
import os
import signal
import threading
import time
from typing import TYPE_CHECKING

from checkpointd.core.open_files import used_files, written_files
from checkpointd.retention.files import member_path, opened_root

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from checkpointd.core.checkpoint import Generation
    from checkpointd.ledger import Entry

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_SCAN_SECONDS = 1.0
_SCAN_SHARE = 20.0


class Use(enum.Enum):
    """How a process has a checkpoint open; the value says so."""

    WRITTEN = "a process has it open for writing"
    READ = "a process has it open"


class OpenFiles:
    """Finds processes that have checkpoints open; for one round, thread-safe.

    Args:
        names: base names of the files that will be asked about, for the scan of /proc.
    """

    def __init__(self, names: AbstractSet[str]) -> None:
        self._names = names
        self._lock = threading.Lock()
        self._written: set[tuple[int, int]] = set()
        self._used: set[tuple[int, int]] = set()
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

    def use_of(self, dir_fd: int, name: str, generation: Generation) -> Use | None:
        """How a process has a file of a checkpoint open, as far as can be known.

        Args:
            dir_fd: the directory that the checkpoint is in.
            name: its name there.
            generation: its files; what cannot be opened is not in use.
        """
        worst = None
        for member in generation.members:
            try:
                file = os.open(member_path(name, member), _FLAGS, dir_fd=dir_fd)
            except OSError:
                continue
            try:
                use = self._use_of_file(file)
            finally:
                os.close(file)
            if use is Use.WRITTEN:
                return use
            worst = use or worst
        return worst

    def use_of_entry(self, entry: Entry) -> Use | None:
        """How a process has a file of the checkpoint at its path open."""
        parent, _, name = entry.path.rpartition("/")
        try:
            with opened_root(parent or "/") as file:
                return self.use_of(file, name, entry.generation)
        except OSError:
            return None

    def _use_of_file(self, file: int) -> Use | None:
        is_used = _is_refused(file, fcntl.F_WRLCK)
        if is_used is False:
            return None
        is_written = _is_refused(file, fcntl.F_RDLCK)
        if is_used is None or is_written is None:
            status = os.fstat(file)
            identity = status.st_dev, status.st_ino
            written, used = self._scanned()
            is_written = identity in written if is_written is None else is_written
            is_used = identity in used if is_used is None else is_used
        if is_written:
            return Use.WRITTEN
        return Use.READ if is_used else None

    def _scanned(self) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
        with self._lock:
            began = time.monotonic()
            if began >= self._next_scan:
                with contextlib.suppress(OSError):
                    self._written = written_files(self._names, everyone=True)
                    self._used = used_files(self._names)
                ended = time.monotonic()
                self._next_scan = ended + max(_SCAN_SECONDS, _SCAN_SHARE * (ended - began))
            return self._written, self._used


def _is_refused(file: int, lease: int) -> bool | None:
    """Whether a lease is refused because of how others have a file open; None: for other reasons.

    The lease is given back at once. A process that opens the file in between waits for that, and
    the signal about it is one that is ignored unless it is handled.
    """
    try:
        fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(file, fcntl.F_SETLEASE, lease)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return True if error.errno == errno.EAGAIN else None
    return False
