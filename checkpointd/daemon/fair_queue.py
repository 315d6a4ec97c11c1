"""What waits to be verified: fair between watches, newest first within a series.

Pure but for being mutable: no clock, no lock; the daemon's loop owns it. Every call costs the
logarithm of what waits, so that ten thousand saves at once cost no more each than one.
"""

from __future__ import annotations

import heapq
import itertools
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from checkpointd.core.checkpoint import Checkpoint, Generation

_OLD_TURN = 4
"""One turn of a watch in this many goes to its oldest waiting checkpoint, so that none starves."""


@dataclass(frozen=True)
class Item:
    """One generation that is to be verified; `since` is when it began to wait (epoch seconds).

    `overdue`: nobody has changed it for `torn_after`, so it is judged as it is; `idle`: for a
    fifteenth of that. `compare`: a digest that its content is held against before anything else
    is done: because its inode or its change time is another than that of the verdict, or
    (`scrub`) because nobody has read it for long. `replaced`: its content differs from what was
    verified before.
    """

    checkpoint: Checkpoint
    generation: Generation
    since: float
    attempt: int = 1
    overdue: bool = False
    compare: str = ""
    scrub: bool = False
    replaced: bool = False
    idle: bool = False


class Queue:
    """Waiting items, at most one for each path."""

    def __init__(self) -> None:
        self._watches: OrderedDict[str, _Waiting] = OrderedDict()

    def __len__(self) -> int:
        return sum(len(waiting.items) for waiting in self._watches.values())

    @property
    def oldest_since(self) -> float | None:
        """When the item that waits longest began to; None if nothing waits."""
        oldest = (w.oldest.first(()) for w in self._watches.values())
        return min((item.since for item in oldest if item is not None), default=None)

    def push(self, item: Item) -> bool:
        """Add an item, in place of an older generation of the same path.

        Returns:
            Whether another generation of that path was still waiting, and is not any more.
        """
        waiting = self._watches.setdefault(item.checkpoint.watch, _Waiting())
        replaced = waiting.items.get(item.checkpoint.path)
        waiting.put(item)
        return replaced is not None and replaced.generation.key != item.generation.key

    def drop(self, watch: str, path: str) -> None:
        """Forget what waits under a path."""
        if watch in self._watches:
            self._watches[watch].items.pop(path, None)

    def drop_watch(self, watch: str) -> None:
        """Forget all that waits in a watch."""
        self._watches.pop(watch, None)

    def holds(self, watch: str, path: str) -> bool:
        """Whether something waits under a path."""
        return watch in self._watches and path in self._watches[watch].items

    def pop(self, busy: Container[str] = (), paused: Container[str] = ()) -> Item | None:
        """Take the next item: the watches in turn, the newest of a watch first.

        Every few turns the oldest of the watch goes first.

        Args:
            busy: paths whose turn has to wait, because they are being verified now.
            paused: watches whose turn has to wait, because their disk does not answer.
        """
        for watch in list(self._watches):
            if watch in paused:
                continue
            waiting = self._watches[watch]
            item = waiting.take(busy)
            if item is not None:
                self._watches.move_to_end(watch)
                return item
            if not waiting.items:
                del self._watches[watch]
        return None


class _Waiting:
    """What waits in one watch, ordered in two ways."""

    def __init__(self) -> None:
        self.items: dict[str, Item] = {}
        self._numbers = itertools.count()
        self.newest = _Order(self.items, lambda i: (-i.generation.saved_at, -i.since))
        self.oldest = _Order(self.items, lambda i: (i.since, 0.0))
        self._turns = itertools.count(1)

    def put(self, item: Item) -> None:
        self.items[item.checkpoint.path] = item
        number = next(self._numbers)
        self.newest.put(item, -number)
        self.oldest.put(item, number)

    def take(self, busy: Container[str]) -> Item | None:
        if self.newest.first(busy) is None:
            return None
        order = self.oldest if next(self._turns) % _OLD_TURN == 0 else self.newest
        item = order.first(busy)
        if item is not None:
            del self.items[item.checkpoint.path]
        return item


class _Order:
    """A heap over items that may meanwhile have gone, or been replaced: those are passed over."""

    def __init__(self, items: dict[str, Item], rank: Callable[[Item], tuple[float, float]]) -> None:
        self._items = items
        self._rank = rank
        self._heap: list[tuple[tuple[float, float], int, Item]] = []

    def put(self, item: Item, tie: int) -> None:
        heapq.heappush(self._heap, (self._rank(item), tie, item))
        if len(self._heap) > 2 * len(self._items) + 16:
            self._heap = [row for row in self._heap if self._waits(row[2])]
            heapq.heapify(self._heap)

    def first(self, busy: Container[str]) -> Item | None:
        """The first that waits and is not busy; it stays."""
        passed = []
        first_free = None
        while self._heap:
            item = self._heap[0][2]
            if not self._waits(item):
                heapq.heappop(self._heap)
            elif item.checkpoint.path in busy:
                passed.append(heapq.heappop(self._heap))
            else:
                first_free = item
                break
        for row in passed:
            heapq.heappush(self._heap, row)
        return first_free

    def _waits(self, item: Item) -> bool:
        return self._items.get(item.checkpoint.path) is item
