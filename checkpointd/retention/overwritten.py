"""Earlier contents of the paths of a series, from which the starts of runs are found; pure.

A job that is started again writes over what it saved before, and a copy may take the place of both.
Reports say when each content was saved and seen. Where there is none, only the time is known at
which the path was first seen.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING

from checkpointd.retention.save_times import CLOCK_SKEW, Sighting

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class Past:
    """Sightings of content that was replaced; `doubtful` and `credible` as for present content.

    The save time of one is infinite where it is not known.
    """

    sightings: list[Sighting] = field(default_factory=list)
    doubtful: set[int] = field(default_factory=set)
    credible: dict[int, float] = field(default_factory=dict)


def past_id(sighting: Sighting, sequence: int) -> int:
    """An id for earlier content of the path of `sighting`."""
    return -(sighting.id << 40 | sequence)


def overwritten(series: Sequence[Sighting], credible: dict[int, float]) -> Past:
    """Find the earlier contents of the paths of a series.

    Args:
        series: all that is known of it.
        credible: the latest save time that each may have, by id.
    """
    past = Past()
    replaced = [s for s in series if s.number is not None and _is_replaced(s)]
    if not replaced:
        return past
    in_order = sorted((s.sequence, credible[s.id]) for s in series)
    sequences = [sequence for sequence, _ in in_order]
    places = sorted((s.seen, s.sequence) for s in series if s.seen)
    times = [at for at, _ in places]
    highest = list(accumulate((sequence for _, sequence in places), max))
    for one in replaced:
        before = one.before or ((one.original,) if one.original else ())
        for earlier in before:
            latest = in_order[bisect_left(sequences, earlier.sequence)][1]
            # The same content as now: its time may have been corrected since.
            is_same = one.original is not None and earlier.sequence == one.original.sequence
            saved_at = one.saved_at if is_same else earlier.saved_at
            _add(past, one, earlier.sequence, saved_at, latest)
        if not before:
            count = bisect_right(times, one.first_seen)
            sequence = highest[count - 1] if count else 0
            if sequence < one.sequence:
                _add(past, one, sequence, math.inf, math.inf)
    return past


def _is_replaced(sighting: Sighting) -> bool:
    return (
        bool(sighting.before)
        or sighting.original is not None
        or 0 < sighting.first_seen < sighting.seen
    )


def _add(past: Past, sighting: Sighting, sequence: int, saved_at: float, latest: float) -> None:
    """Add earlier content of a path; `latest` is the latest save time that it may have."""
    identity = past_id(sighting, sequence)
    past.sightings.append(
        sighting._replace(
            id=identity, sequence=sequence, saved_at=saved_at, present=False, original=None
        )
    )
    past.credible[identity] = latest
    if saved_at <= 0 or latest + CLOCK_SKEW < saved_at < math.inf:
        past.doubtful.add(identity)
