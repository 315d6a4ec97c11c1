"""One daemon for each state directory: a lock that the kernel releases with its process."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Self

from checkpointd.core.permissions import MAY_WRITE, cure_of_denial
from checkpointd.ledger.errors import LedgerError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

_NAME = "lock"


class StateLock:
    """The exclusive lock for changing a state directory; also a context manager."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / _NAME
        self._file = -1

    def acquire(self) -> None:
        """Take the lock, without waiting.

        Raises:
            LedgerError: another process holds it, or the directory cannot be written.
        """
        if self._file >= 0:
            return
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            directory = self._path.parent
            denied = isinstance(error, PermissionError)
            cure = f" {cure_of_denial(directory, MAY_WRITE)}" if denied else ""
            raise LedgerError(
                f"{directory} cannot be used as the state directory: {error.strerror}.{cure}"
            ) from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(file, 32, 0).decode("ascii", "replace").strip()
            os.close(file)
            who = f" (process {holder})" if holder.isdigit() else ""
            raise LedgerError(
                f"Another checkpointd{who} uses {self._path.parent}: stop it, "
                "or give this one another state_dir."
            ) from None
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        self._file = file

    def release(self) -> None:
        """Release the lock; without effect if it is not held."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
