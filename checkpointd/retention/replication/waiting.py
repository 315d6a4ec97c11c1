"""Which checkpoints wait for their copy in a bucket, and in which order; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from checkpointd.core.text import duration
from checkpointd.ledger import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.config import WatchSettings
    from checkpointd.ledger import Ages, Entry, Unreplicated

LOOK_SECONDS = 6 * 3600.0
"""How often copies are looked for in the bucket."""

_TRUSTED_SECONDS = 24 * 3600.0
"""For so long nothing needs to have been seen: a store that is down for a night is nothing rare."""


class CopyLedger(Protocol):
    """What is needed of the ledger."""

    def replicated(self, watch: str, destination: str) -> dict[str, float]:
        """The paths whose present content is copied to a URL, and when it was last seen there."""
        ...

    def ages(self) -> Ages:
        """How old the times in the ledger are, by a clock that nobody sets."""
        ...


def without_copy(
    ledger: CopyLedger, watch: WatchSettings, entries: Iterable[Entry]
) -> dict[str, str]:
    """Why valid checkpoints of a watch have no copy that can be relied on, by path.

    Empty for a watch that is not copied.
    """
    to = watch.replicate.to
    if to is None:
        return {}
    ages, seen = ledger.ages(), ledger.replicated(watch.name, to)
    return {
        entry.path: why
        for entry in entries
        if entry.state is State.VALID and (why := _why(to, seen.get(entry.path), ages))
    }


def _why(to: str, seen_at: float | None, ages: Ages) -> str:
    if seen_at is None:
        return f"it is not copied to {to} yet"
    unseen = ages.age(seen_at)
    if unseen > _TRUSTED_SECONDS:
        return f"its copy in {to} was last seen {duration(unseen)} ago; it is looked for first"
    return ""


def copying_order(waiting: Iterable[Unreplicated]) -> list[Unreplicated]:
    """Order what waits: the newest of each series first, then all others, the oldest first.

    The newest is what training would go on from if this machine were lost. Pruning waits for the
    oldest: if the store takes less than training saves, the oldest would never go otherwise.
    """
    return sorted(
        waiting,
        key=lambda one: (not one.newest, -one.saved_at if one.newest else one.saved_at, one.id),
    )
