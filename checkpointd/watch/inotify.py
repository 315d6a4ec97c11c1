"""Events of a local file system, through watchdog: hints for a watcher, never facts.

Measured with watchdog 7.1, and why this is more than `Observer().schedule()`: an overflow of the
kernel's queue is only logged; a handler that raises ends the observer; a watch below the root that
cannot be added is ignored silently; a rename delays what follows for half a second; a symbolic
link as root is watched itself. Reads of checkpointd cause no events, because opening and closing
without writing are not requested.
"""

from __future__ import annotations

import logging
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.inotify import InotifyObserver
from watchdog.observers.inotify_move_event_grouper import InotifyMoveEventGrouper

from checkpointd.formats.names import ROOT_RECORDS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from watchdog.observers.api import BaseObserver

    from checkpointd.watch.event_queue import EventQueue

_EVENTS: list[type[FileSystemEvent]] = [
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
]
_PAIRING_SECONDS = 0.02
"""How long watchdog may delay the first half of a rename to pair it; a scan needs no pairs."""

_LOGGER = "watchdog.observers.inotify"


class Inotify:
    """One running observer for one root.

    Args:
        root: an existing directory.
        queue: receives the events, as paths that begin with `root`.

    Raises:
        OSError: the kernel provides no inotify instance or no watch for the root.
    """

    def __init__(self, root: str, queue: EventQueue) -> None:
        self._root = root
        InotifyMoveEventGrouper.delay = _PAIRING_SECONDS
        # A directory that appears and moves at once makes watchdog warn with its whole table.
        warnings.filterwarnings("ignore", category=RuntimeWarning, module=r"watchdog\.")
        real = os.path.realpath(root)
        self._handler = _Handler(root, real, queue)
        self._overflows = _OverflowHandler(os.fsencode(real), queue)
        self._observer: BaseObserver = InotifyObserver()
        logger = logging.getLogger(_LOGGER)
        if not logger.isEnabledFor(logging.WARNING):
            logger.setLevel(logging.WARNING)
        logger.addHandler(self._overflows)
        try:
            self._observer.schedule(self._handler, real, recursive=True, event_filter=_EVENTS)
            self._observer.start()
        except BaseException:
            self.stop()
            raise

    @property
    def alive(self) -> bool:
        """Whether each of its threads still runs."""
        emitters = self._observer.emitters
        return self._observer.is_alive() and bool(emitters) and all(e.is_alive() for e in emitters)

    def stop(self) -> None:
        """Stop it and close its descriptors."""
        logging.getLogger(_LOGGER).removeHandler(self._overflows)
        self._observer.stop()
        if self._observer.is_alive():
            self._observer.join(5.0)

    def unwatched(self, directories: Iterable[str]) -> tuple[str, ...]:
        """Return the directories that the kernel does not watch, for example beyond its limit.

        Read from /proc/self/fdinfo. Empty where the root itself is not found there: then the file
        system shows other inode numbers than the kernel's, and nothing is known.
        """
        watched = _watched_inodes()
        if _inode(self._root) not in watched:
            return ()
        return tuple(d for d in directories if (inode := _inode(d)) and inode not in watched)


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except OSError:
        return 0


def _watched_inodes() -> set[int]:
    inodes: set[int] = set()
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{descriptor}") != "anon_inode:inotify":
                continue
            text = Path(f"/proc/self/fdinfo/{descriptor}").read_text("ascii")
        except OSError:
            continue
        for line in text.splitlines():
            if line.startswith("inotify "):
                field = next(f for f in line.split() if f.startswith("ino:"))
                inodes.add(int(field[4:], 16))
    return inodes


class _Handler(FileSystemEventHandler):
    """Puts events into the queue; it must never raise, which would end the observer."""

    def __init__(self, root: str, real: str, queue: EventQueue) -> None:
        self._root = root
        self._real = real
        self._queue = queue

    def dispatch(self, event: FileSystemEvent) -> None:
        directory = event.is_directory
        moved = isinstance(event, (FileMovedEvent, DirMovedEvent))
        if moved and event.dest_path:
            self._put(event.dest_path, directory, None if directory else True)
        closed = isinstance(event, FileClosedEvent)
        self._put(event.src_path, directory, None if directory else closed)

    def _put(self, path: bytes | str, directory: bool, closed: bool | None) -> None:
        text = os.fsdecode(path)
        if text == self._real or text.startswith(self._real.rstrip("/") + "/"):
            below = text[len(self._real) :].lstrip("/")
            if below.partition("/")[0] == ROOT_RECORDS:
                return
            text = self._root + text[len(self._real) :]
        self._queue.touch(text, directory=directory, closed=closed)


class _OverflowHandler(logging.Handler):
    """Notices an overflow in the log of watchdog, where it stands with the path of the root."""

    def __init__(self, root: bytes, queue: EventQueue) -> None:
        super().__init__(logging.WARNING)
        self._path = root
        self._queue = queue

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in str(record.msg) and self._path in (record.args or ()):
            self._queue.add_overflow()
