"""What wakes a watcher: touched paths, closed files, lost events and calls of the daemon.

Many threads put in, the watcher's takes all at once. Its memory is bounded: when too much
piles up it says that events were lost, and the watcher looks at everything.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

_MOST = 20_000


@dataclass
class Batch:
    """What came in since the last look.

    `touched` are files and `directories` directories that something happened to; `closed` are
    files whose writer closed or renamed them; `lost` means that anything may have happened.
    """

    touched: set[str] = field(default_factory=set)
    directories: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    lost: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)
    again: set[str] = field(default_factory=set)
    everything: bool = False


class EventQueue:
    """A mailbox that any thread may put into."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._batch = Batch()

    def touch(self, path: str, *, directory: bool = False, closed: bool | None = None) -> None:
        """Something happened to a path; `closed` says whether its writer is done with it."""
        with self._lock:
            batch = self._batch
            if len(batch.touched) + len(batch.directories) > _MOST:
                batch.everything = True
                batch.touched.clear()
                batch.directories.clear()
            (batch.directories if directory else batch.touched).add(path)
            if closed and len(batch.closed) <= _MOST:
                batch.closed.add(path)
            elif closed is False:
                batch.closed.discard(path)
        self._woken.set()

    def lose(self) -> None:
        """Events were lost: everything is to be looked at."""
        with self._lock:
            self._batch.lost += 1
        self._woken.set()

    def refuse(self, path: str, key: str) -> None:
        """A child found this generation incomplete."""
        with self._lock:
            self._batch.refused.append((path, key))
        self._woken.set()

    def ask_again(self, path: str) -> None:
        """The present generation of a path is to be told once more."""
        with self._lock:
            self._batch.again.add(path)
        self._woken.set()

    def wake(self, *, everything: bool = False) -> None:
        """Have the watcher take a look now."""
        with self._lock:
            self._batch.everything = self._batch.everything or everything
        self._woken.set()

    def wait(self, seconds: float) -> bool:
        """Wait until something came in; False if nothing did in that time."""
        return self._woken.wait(max(0.0, seconds))

    def take(self) -> Batch:
        """Take everything out."""
        with self._lock:
            self._woken.clear()
            batch, self._batch = self._batch, Batch()
        return batch
