"""One process at a time removes checkpoints below a root: a lock on a file in its records.

The lock is an flock, which the kernel releases with its process. NFS passes it on to the server;
where a file system has no locks, `RootKeeper` notices another one by what it writes.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import socket
import threading

from checkpointd.formats.names import ROOT_RECORDS
from checkpointd.retention.files import opened_root
from checkpointd.retention.root.record_file import created_records, open_record, opened_records

NAME = "lock"
_READ_BYTES = 4096


class RootLock:
    """The exclusive lock for removing checkpoints below a root; it may be taken repeatedly.

    Args:
        root: the watched root, absolute.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._file = -1
        self._guard = threading.Lock()

    def acquire(self, *, create: bool) -> str:
        """Take the lock, without waiting.

        Args:
            create: make the file of the lock; without it, a root that has none needs no lock.

        Returns:
            A sentence about who holds it; empty if nobody else does.

        Raises:
            OSError: the file cannot be opened or made.
        """
        with self._guard, opened_root(self._root) as root_fd:
            if self._file >= 0:
                if _is_same(root_fd, self._file):
                    return ""
                os.close(self._file)
                self._file = -1
            try:
                with created_records(root_fd) if create else opened_records(root_fd) as records_fd:
                    flags = os.O_RDWR | os.O_NONBLOCK | (os.O_CREAT if create else 0)
                    file = open_record(records_fd, NAME, flags)
            except FileNotFoundError:
                return ""
            holder = _try_lock(file)
            if holder:
                os.close(file)
                return f"This root is pruned by {holder}."
            self._file = file
            if create:
                _sign(file)
            return ""

    def release(self) -> None:
        """Release the lock; without effect if it is not held."""
        with self._guard:
            if self._file >= 0:
                os.close(self._file)
                self._file = -1


def holder_of(directory: str) -> str:
    """Who prunes a directory at this moment, without a stop; empty if nobody does."""
    try:
        file = os.open(
            f"{directory}/{ROOT_RECORDS}/{NAME}",
            os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
        )
    except OSError:
        return ""
    try:
        return _try_lock(file, fcntl.LOCK_SH)
    finally:
        os.close(file)


def _try_lock(file: int, kind: int = fcntl.LOCK_EX) -> str:
    """Try to lock an open file; return who has it already, empty if nobody does or can."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
            return ""
        return _holder_in(os.pread(file, _READ_BYTES, 0))
    return ""


def _sign(file: int) -> None:
    with contextlib.suppress(OSError):
        os.ftruncate(file, 0)
        text = json.dumps({"pid": os.getpid(), "host": socket.gethostname()})
        os.pwrite(file, text.encode() + b"\n", 0)


def _holder_in(data: bytes) -> str:
    try:
        who = json.loads(data)
        return f"another checkpointd (process {int(who['pid'])} on host {str(who['host'])!r})"
    except (ValueError, KeyError, TypeError):
        return "another checkpointd"


def _is_same(root_fd: int, file: int) -> bool:
    """Whether the file that is locked still is the one in the records."""
    with contextlib.suppress(OSError), opened_records(root_fd) as records_fd:
        status = os.stat(NAME, dir_fd=records_fd, follow_symlinks=False)
        held = os.fstat(file)
        return (status.st_dev, status.st_ino) == (held.st_dev, held.st_ino)
    return False
