"""What waits to be verified and what is being verified; workers take from here."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.daemon.fair_queue import Item, Queue

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Running:
    """A running verification; `since` is in monotonic seconds."""

    item: Item
    since: float


class WorkQueue:
    """Two queues and the items taken from them; everything runs in one event loop.

    New saves go before the background queue, which holds comparisons and scrubs. `running` holds
    what is being verified, by path.

    Args:
        on_coalesced: called with a watch's name when an older generation of a path was replaced
            before it was verified.
        capacity: returns how many may be verified at a time; by default as many as are taken.
    """

    def __init__(
        self,
        on_coalesced: Callable[[str], None] = lambda _watch: None,
        capacity: Callable[[], int] | None = None,
    ) -> None:
        self.running: dict[str, Running] = {}
        self._foreground = Queue()
        self._background = Queue()
        self._paused: frozenset[str] = frozenset()
        self._on_coalesced = on_coalesced
        self._capacity = capacity
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        """How many new saves wait; comparisons and scrubs do not count."""
        return len(self._foreground)

    @property
    def oldest_since(self) -> float | None:
        """When the save that waits longest began to wait; None if none waits."""
        return self._foreground.oldest_since

    def push(self, item: Item) -> None:
        """Have a generation verified; whatever the background queue holds for its path goes."""
        watch, path = item.checkpoint.watch, item.checkpoint.path
        if self._foreground.push(item):
            self._on_coalesced(watch)
        self._background.drop(watch, path)
        self._changed.set()

    def push_background(self, item: Item) -> None:
        """Have a generation compared with its verdict's digest, or evaluated, if nothing waits."""
        self._background.push(item)
        self._changed.set()

    def drop(self, watch: str, path: str) -> None:
        """Forget what waits under a path."""
        self._foreground.drop(watch, path)
        self._background.drop(watch, path)

    def drop_watch(self, watch: str) -> None:
        """Forget the saves that wait in a watch."""
        self._foreground.drop_watch(watch)

    def pause(self, watches: frozenset[str]) -> None:
        """Take nothing from these watches until this is called without them."""
        self._paused = watches
        self._changed.set()

    def is_waiting(self, watch: str, path: str) -> bool:
        """Whether a new save waits under a path."""
        return self._foreground.holds(watch, path)

    def is_in_background(self, watch: str, path: str) -> bool:
        """Whether a comparison or a scrub waits under a path."""
        return self._background.holds(watch, path)

    def is_busy(self, watch: str, path: str) -> bool:
        """Whether a path waits to be verified or is being verified."""
        return self.is_waiting(watch, path) or path in self.running

    async def take(self) -> Item:
        """Wait for the next item and mark it as running, until `done` is called."""
        while True:
            item = self._pop() if self._has_room() else None
            if item is not None:
                self.running[item.checkpoint.path] = Running(item, time.monotonic())
                return item
            self._changed.clear()
            await self._changed.wait()

    def _has_room(self) -> bool:
        return self._capacity is None or len(self.running) < self._capacity()

    def _pop(self) -> Item | None:
        return self._foreground.pop(self.running, self._paused) or self._background.pop(
            self.running, self._paused
        )

    def wake(self) -> None:
        """Check again what may be taken: the capacity has changed."""
        self._changed.set()

    def done(self, item: Item) -> None:
        """End what `take` began: the path may be taken again."""
        self.running.pop(item.checkpoint.path, None)
        self._changed.set()
