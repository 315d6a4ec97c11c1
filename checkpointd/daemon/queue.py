"""What waits to be verified: fair between watches, newest first within a series.

Pure but for being mutable: no clock, no lock; the daemon's loop owns it.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from checkpointd.checkpoint import Checkpoint, Generation

_OLD_TURN = 4
"""Every so many turns of a watch its oldest waiting checkpoint goes first, so that none starves."""


@dataclass(frozen=True)
class Item:
    """One generation that is to be verified; `since` is when it began to wait (epoch seconds)."""

    checkpoint: Checkpoint
    generation: Generation
    since: float
    attempt: int = 1


class Queue:
    """Waiting items, at most one for each path."""

    def __init__(self) -> None:
        self._watches: OrderedDict[str, dict[str, Item]] = OrderedDict()
        self._turns: dict[str, Iterator[int]] = {}

    def __len__(self) -> int:
        return sum(len(items) for items in self._watches.values())

    @property
    def oldest_since(self) -> float | None:
        """When the item that waits longest began to; None if nothing waits."""
        return min(
            (item.since for items in self._watches.values() for item in items.values()),
            default=None,
        )

    def push(self, item: Item) -> bool:
        """Add an item, in place of an older generation of the same path.

        Returns:
            Whether another generation of that path was still waiting, and is not any more.
        """
        items = self._watches.setdefault(item.checkpoint.watch, {})
        replaced = items.pop(item.checkpoint.path, None)
        items[item.checkpoint.path] = item
        return replaced is not None and replaced.generation.key != item.generation.key

    def drop(self, watch: str, path: str) -> None:
        """Forget what waits under a path."""
        self._watches.get(watch, {}).pop(path, None)

    def drop_watch(self, watch: str) -> None:
        """Forget all that waits in a watch."""
        self._watches.pop(watch, None)

    def holds(self, watch: str, path: str) -> bool:
        """Whether something waits under a path."""
        return path in self._watches.get(watch, {})

    def pop(self, busy: Container[str] = ()) -> Item | None:
        """Take the next item: the watches in turn, the newest of a watch first.

        Every few turns the oldest of the watch goes first.

        Args:
            busy: paths whose turn has to wait, because they are being verified now.
        """
        for watch in list(self._watches):
            items = self._watches[watch]
            if not items:
                del self._watches[watch]
                continue
            free = [path for path in items if path not in busy]
            if not free:
                continue
            self._watches.move_to_end(watch)
            turn = next(self._turns.setdefault(watch, itertools.count(1)))
            if turn % _OLD_TURN == 0:
                path = free[0]
            else:
                path = max(free, key=lambda p: (items[p].generation.saved_at, items[p].since))
            return items.pop(path)
        return None
