"""Which save times are credible; pure.

A save time comes from the clock of whatever host wrote the files, or from the copy that made them.
It is believed if it is later than 1970 and no later than this content was first seen. That time
comes from the daemon's own clock: if content that was seen later has an earlier one, the clock was
put back in between, and nothing is believed that was saved after it.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple

from checkpointd.retention.save_numbers import Number, number_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.ledger import Entry
    from checkpointd.ledger.facts import Earlier

CLOCK_SKEW = 300.0
"""How far the clocks of two hosts may differ, in seconds: a file server sets the times of files by
its own clock. Kerberos, which NFS uses, refuses hosts that differ by more."""

_SAME = 3
"""As many checkpoints found together with one and the same save time have it from a copy."""


class Sighting(NamedTuple):
    """What places one checkpoint in its series.

    `sequence` counts in the order in which contents were first seen, and is the same for those
    found together; `seen` is when, 0 if unknown. `first_seen` is when the path was first seen.
    `original` is what was at the path before with the same content: then `saved_at` is its time.
    `before` is each content that was verified there before, where it was first seen.
    """

    id: int
    path: str
    number: Number | None
    saved_at: float
    first_seen: float
    seen: float
    sequence: int
    present: bool = True
    original: Earlier | None = None
    before: tuple[Earlier, ...] = ()


def sighting_of(entry: Entry, *, present: bool = True) -> Sighting:
    """Return what is known of the place of an entry."""
    checkpoint = entry.checkpoint
    return Sighting(
        entry.id,
        checkpoint.path,
        number_of(checkpoint.version, entry.step, checkpoint.metrics),
        entry.content_saved_at,
        entry.first_seen,
        entry.seen,
        entry.sequence,
        present,
        entry.original,
        entry.before,
    )


def latest_credible(sightings: Iterable[Sighting], now: float) -> dict[int, float]:
    """Return the latest save time that each may have, by id.

    Args:
        sightings: of all that is known, whatever its series.
        now: seconds since the epoch.
    """
    latest: dict[int, float] = {}
    limit, following, sequence = now, now, None
    for one in sorted(sightings, key=attrgetter("sequence"), reverse=True):
        if one.sequence != sequence:
            limit, sequence = following, one.sequence
        seen = one.seen
        latest[one.id] = seen if 0 < seen < limit else limit
        if 0 < seen < following:
            following = seen
    return latest


def doubtful_times(series: Iterable[Sighting], credible: dict[int, float]) -> dict[int, str]:
    """Return why the save time of a checkpoint is not believed, for those where it is not, by id.

    Args:
        series: those of one series.
        credible: what `latest_credible` returned.
    """
    doubts = {}
    believed = []
    for one in series:
        if one.saved_at <= 0:
            doubts[one.id] = "its save time is not later than 1970"
        elif one.saved_at > credible[one.id] + CLOCK_SKEW:
            doubts[one.id] = f"its save time, {_written(one.saved_at)}, is later than it was seen"
        elif one.number is not None:
            believed.append(one)
    together = Counter([one.sequence for one in believed])
    believed = [one for one in believed if together[one.sequence] >= _SAME]
    shared = Counter([(one.sequence, one.saved_at) for one in believed])
    if shared and max(shared.values()) >= _SAME:
        for one in believed:
            count = shared[one.sequence, one.saved_at]
            if count >= _SAME:
                doubts[one.id] = f"{count} found together have the same save time"
    return doubts


def _written(at: float) -> str:
    try:
        return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M UTC}"
    except (ValueError, OverflowError, OSError):
        return f"{at:g} s after 1970"
