"""The queue that wakes a watcher: file system events, lost events and requests of the daemon.

Any thread may add, the watcher's thread takes everything at once. Memory is bounded: when too many
paths pile up, the batch asks for a full scan instead.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

_MAX_PATHS = 20_000


@dataclass(frozen=True)
class IncompleteGeneration:
    """A generation, by path and key, that a verification has found to be incomplete."""

    path: str
    key: str


@dataclass
class Batch:
    """What was added since the last `take`.

    Attributes:
        touched: files that something happened to.
        directories: directories that something happened to.
        closed: files that their writer has closed or renamed.
        overflows: how often events were lost, so that anything may have happened.
        incomplete: generations that a verification has found to be incomplete.
        requested: paths of which the present generation is to be reported once more.
        full_scan: everything has to be compared with the disk.
    """

    touched: set[str] = field(default_factory=set)
    directories: set[str] = field(default_factory=set)
    closed: set[str] = field(default_factory=set)
    overflows: int = 0
    incomplete: list[IncompleteGeneration] = field(default_factory=list)
    requested: set[str] = field(default_factory=set)
    full_scan: bool = False


class EventQueue:
    """A queue that any thread may add to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._woken = threading.Event()
        self._batch = Batch()

    def touch(self, path: str, *, directory: bool = False, closed: bool | None = None) -> None:
        """Add an event about a path; `closed` is whether its writer has finished with it."""
        with self._lock:
            batch = self._batch
            if len(batch.touched) + len(batch.directories) > _MAX_PATHS:
                batch.full_scan = True
                batch.touched.clear()
                batch.directories.clear()
            (batch.directories if directory else batch.touched).add(path)
            if closed and len(batch.closed) <= _MAX_PATHS:
                batch.closed.add(path)
            elif closed is False:
                batch.closed.discard(path)
        self._woken.set()

    def add_overflow(self) -> None:
        """Record that events were lost: a full scan is needed."""
        with self._lock:
            self._batch.overflows += 1
        self._woken.set()

    def add_incomplete(self, path: str, key: str) -> None:
        """Record that a verification has found this generation to be incomplete."""
        with self._lock:
            self._batch.incomplete.append(IncompleteGeneration(path, key))
        self._woken.set()

    def request_report(self, path: str) -> None:
        """Ask for another report of a path's present generation."""
        with self._lock:
            self._batch.requested.add(path)
        self._woken.set()

    def wake(self, *, full_scan: bool = False) -> None:
        """Wake the watcher now."""
        with self._lock:
            self._batch.full_scan = self._batch.full_scan or full_scan
        self._woken.set()

    def wait(self, seconds: float) -> bool:
        """Wait until something is added; return False if nothing was in that time."""
        return self._woken.wait(max(0.0, seconds))

    def take(self) -> Batch:
        """Remove and return everything."""
        with self._lock:
            self._woken.clear()
            batch, self._batch = self._batch, Batch()
        return batch
