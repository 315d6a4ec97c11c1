"""Carries events from the watches' threads into the event loop, at the ledger's pace."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container

    from checkpointd.watch.events import WatchEvent

_MOST_EVENTS = 1000
_WAIT_SECONDS = 0.5


class EventInbox:
    """Events that are not handled yet.

    Args:
        watches: the names of the watches that run; a thread of another one does not wait.
    """

    def __init__(self, watches: Container[str]) -> None:
        self._watches = watches
        self._events: asyncio.Queue[WatchEvent] = asyncio.Queue()
        self._free = threading.Semaphore(_MOST_EVENTS)
        self._closed = False

    def send(self, event: WatchEvent, loop: asyncio.AbstractEventLoop) -> None:
        """Add an event from a watch's thread, which waits while too many are not yet handled.

        So a directory with a million files is listed no faster than the ledger can write.
        """
        while not self._free.acquire(timeout=_WAIT_SECONDS):
            if self._closed or event.watch not in self._watches:
                return
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(self.post, event)

    def post(self, event: WatchEvent) -> None:
        """Add an event in the loop's thread."""
        self._events.put_nowait(event)

    async def next(self) -> WatchEvent:
        """Wait for the next event; `done` is to be called when it is handled."""
        return await self._events.get()

    def done(self) -> None:
        """Let another event in; to be called when one has been handled."""
        self._free.release()

    def close(self) -> None:
        """Release all threads that wait."""
        self._closed = True
