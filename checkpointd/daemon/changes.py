"""The change feed: a follower of the ledger subscribes once, and no writer has to notify it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.ledger import ChangeKind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from checkpointd.ledger import Change


class ChangeFeed:
    """Passes changes on to subscribers; everything runs in the event loop.

    The thread that writes the ledger feeds it with every committed change, before the writer
    itself goes on.
    """

    def __init__(self) -> None:
        self._subscribers: list[tuple[frozenset[ChangeKind], Callable[[Change], None]]] = []

    def subscribe(
        self, receive: Callable[[Change], None], kinds: Collection[ChangeKind] = tuple(ChangeKind)
    ) -> None:
        """Call a function with each change from now on.

        Args:
            receive: must return at once and must not raise.
            kinds: the kinds of change that it is called with.
        """
        self._subscribers.append((frozenset(kinds), receive))

    def emit(self, changes: Iterable[Change]) -> None:
        """Pass changes on to everyone who subscribed to their kind, oldest first."""
        for change in changes:
            for kinds, receive in self._subscribers:
                if change.kind in kinds:
                    receive(change)
