"""What a write to the ledger changed, so that nobody has to be notified by hand."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from checkpointd.ledger.facts import State


class ChangeKind(enum.StrEnum):
    """The kinds of change that a subscriber can ask for."""

    SEEN = "seen"
    """A generation without a verdict: writing, pending, superseded, or no checkpoint at all."""

    VERDICT = "verdict"
    """A report was kept, or a verdict was carried over to the same content."""

    PLACED = "placed"
    """A path belongs to another series, version or step than before."""

    GONE = "gone"
    """Nothing is at a path any more."""

    TRASHED = "trashed"
    """A checkpoint was moved into the trash."""

    RESTORED = "restored"
    """A checkpoint came back from the trash."""

    PINS = "pins"
    """A path was pinned or unpinned, or its tags changed.

    The watch is empty for a path that was never seen.
    """

    REPLICATED = "replicated"
    """A checkpoint was copied to a bucket, or copies were looked for there."""

    AVAILABILITY = "availability"
    """A watch came up or went down, hangs or answers again; the watch is empty if that may be any.

    The ledger never emits this one.
    """


@dataclass(frozen=True)
class Change:
    """One change in one series of one watch.

    `before` and `after` are the states of the checkpoint that it is about; both are None where
    no checkpoint changed its state, one of them where it came to this series or left it.
    """

    kind: ChangeKind
    watch: str
    series: str = ""
    before: State | None = None
    after: State | None = None
