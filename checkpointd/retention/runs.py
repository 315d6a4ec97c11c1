"""The runs of a series: a job that is started again in the same directory begins a new one; pure.

A run begins where the number falls while the save time and the order of being first seen go on.
What is older by both number and save time was copied back, and belongs to the run it came from; or
a job was started again whose clock is behind, so that is a second reading of the same series.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from checkpointd.retention.overwritten import overwritten, past_id
from checkpointd.retention.save_times import CLOCK_SKEW, Sighting

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Iterable, Sequence

    from checkpointd.retention.save_numbers import Number

_WINDOW = 12
_MANY_FALLS = 3
"""From this many falls among `_WINDOW` saves on, they are not restarts of a job."""

_FEW = 3
"""Fewer names than this may be sorted by chance."""


@dataclass
class Runs:
    """The runs of one series, oldest first.

    Attributes:
        of: the number of the run of each checkpoint, by id.
        carried: the number after which a checkpoint without one of its own was seen, by id.
        undecided: two checkpoints whose order is not known for certain, and who says what.
        scattered: the number falls so often that the times are those of a copy.
        at_each_fall: the number of the run of each where every fall of the number begins one,
            whatever the save time is, by id; empty if `of` is the same.
    """

    of: dict[int, int] = field(default_factory=dict)
    at_each_fall: dict[int, int] = field(default_factory=dict)
    carried: dict[int, Number] = field(default_factory=dict)
    undecided: str = ""
    scattered: bool = False


def runs_of_series(
    series: Sequence[Sighting],
    doubtful: Collection[int],
    credible: dict[int, float],
    is_saved_before: Callable[[int, int], bool] = lambda _, __: False,
) -> Runs:
    """Find the runs of a series.

    Args:
        series: all that is known of it, also what is not on disk any more.
        doubtful: the ids of those whose save time is not believed.
        credible: the latest save time that each may have, by id.
        is_saved_before: whether a state file says that one was saved before another, by ids.
    """
    past = overwritten(series, credible)
    if past.sightings:
        series = (*series, *past.sightings)
        doubtful, credible = {*doubtful, *past.doubtful}, {**credible, **past.credible}
    in_order = _in_order_of_sight(series, doubtful, credible)
    walk = _Walk(doubtful, is_saved_before)
    for one in in_order:
        walk.follow(one)
    runs = walk.runs
    if walk.may_be_restarts:
        second = _Walk(doubtful, is_saved_before, at_each_fall=True)
        for one in sorted(in_order, key=lambda s: (s.sequence, s.number or ())):
            second.follow(one)
        runs.at_each_fall = second.runs.of
    runs.scattered = walk.is_scattered() or walk.is_copied_by_name()
    present = [one for one in series if one.present]
    runs.undecided = (
        walk.undecided
        or _disorder(present, runs, doubtful)
        or _disorder_without_numbers(present, doubtful)
    )
    if runs.scattered:
        runs.undecided = walk.describe_falls() or runs.undecided
    return runs


def _in_order_of_sight(
    series: Sequence[Sighting], doubtful: Container[int], credible: dict[int, float]
) -> list[Sighting]:
    """As they were first seen; those found together by save time."""
    return sorted(
        series,
        key=lambda s: (
            s.sequence,
            credible[s.id] if s.id in doubtful and s.saved_at < math.inf else s.saved_at,
            s.number or (),
            s.id,
        ),
    )


class _Walk:
    """Follows a series in the order in which it was first seen.

    `may_be_restarts`: the number fell where the save time does not show whether a run began.
    """

    def __init__(
        self,
        doubtful: Container[int],
        is_saved_before: Callable[[int, int], bool],
        *,
        at_each_fall: bool = False,
    ) -> None:
        self.runs = Runs()
        self._run_of = self.runs.of
        self.undecided = ""
        self.may_be_restarts = False
        self._at_each_fall = at_each_fall
        self._doubtful = doubtful
        self._is_saved_before = is_saved_before
        self._front: Sighting | None = None
        self._latest: Sighting | None = None
        self._starts: list[float] = [0.0]
        self._numbered: list[Sighting] = []
        self._falls: list[tuple[int, Sighting, Sighting]] = []

    def follow(self, sighting: Sighting) -> None:
        """Place the next one."""
        is_past = sighting.saved_at == math.inf
        if sighting.number is None:
            self._run_of[sighting.id] = self._run_at(sighting)
            if self._front is not None and self._front.number is not None:
                self.runs.carried[sighting.id] = self._front.number
            return
        if sighting.original is not None:  # copied back: it was placed where it was first seen
            before = past_id(sighting, sighting.original.sequence)
            self._run_of[sighting.id] = self._run_of.get(before, self._run_at(sighting))
            return
        front = self._front
        if front is None or front.number is None or _continues(sighting, front):
            self._advance(sighting, is_past=is_past)
        elif not is_past:
            self._fall(sighting, front)

    def _advance(self, sighting: Sighting, *, is_past: bool) -> None:
        self._front = sighting
        self._numbered.append(sighting)
        if not is_past:
            self._run_of[sighting.id] = len(self._starts) - 1
            self._note_time(sighting)

    def _note_time(self, sighting: Sighting) -> None:
        latest = self._latest
        if sighting.id not in self._doubtful and (
            latest is None or sighting.saved_at > latest.saved_at
        ):
            self._latest = sighting

    def _fall(self, sighting: Sighting, front: Sighting) -> None:
        """Place one whose number is lower than one that was seen before it, or with it."""
        latest = self._latest
        was_seen_later = sighting.sequence > front.sequence
        is_doubtful = sighting.id in self._doubtful
        if self._at_each_fall and was_seen_later:
            self._begin(sighting)
        elif is_doubtful or latest is None:
            self.may_be_restarts = True
            if was_seen_later and sighting.present and sighting.number != front.number:
                self._note_undecided(
                    front, sighting, "number", "the order in which they were first seen"
                )
            self._run_of[sighting.id] = len(self._starts) - 1
            self._numbered.append(sighting)
            self._note_time(sighting)
        elif sighting.saved_at > latest.saved_at:
            is_witnessed = was_seen_later or self._is_saved_before(front.id, sighting.id)
            if (
                not is_witnessed
                and sighting.present
                and front.present
                and sighting.number != front.number
            ):
                self._note_undecided(front, sighting, "number", "save time")
            self._falls.append((len(self._numbered), front, sighting))
            self._begin(sighting)
        else:
            self.may_be_restarts |= was_seen_later
            self._run_of[sighting.id] = self._run_at(sighting)

    def _begin(self, sighting: Sighting) -> None:
        """Make it the first of a run."""
        self._note_time(sighting)
        self._numbered.append(sighting)
        self._starts.append(sighting.saved_at)
        self._front = sighting
        self._run_of[sighting.id] = len(self._starts) - 1

    def _run_at(self, sighting: Sighting) -> int:
        """The run in which it was saved, by its save time."""
        if sighting.id in self._doubtful:
            return len(self._starts) - 1
        return max(0, bisect_right(self._starts, sighting.saved_at) - 1)

    def _note_undecided(self, a: Sighting, b: Sighting, of_a: str, of_b: str) -> None:
        self.undecided = self.undecided or disagreement(a, b, of_a, of_b)

    def is_scattered(self) -> bool:
        """Whether the number falls too often for a job that is started again now and then."""
        at = [n for n, front, one in self._falls if front.present or one.present]
        if any(b - a < _WINDOW for a, b in zip(at, at[_MANY_FALLS - 1 :], strict=False)):
            return True
        return len(at) > 1 and len(at) > len(self._numbered) / 4

    def is_copied_by_name(self) -> bool:
        """Whether saves around a fall are sorted by name, `ckpt-10` before `ckpt-2`: by a copy."""
        cuts = [0, *(n for n, _, _ in self._falls), len(self._numbered)]
        for start, middle, end in zip(cuts, cuts[1:], cuts[2:], strict=False):
            names = [one.path for one in self._numbered[start:end]]
            around = self._numbered[middle - 1 : middle + 1]
            if len(names) >= _FEW and any(s.present for s in around) and names == sorted(names):
                return True
        return False

    def describe_falls(self) -> str:
        """The first fall between checkpoints of which one is on disk."""
        for _, front, one in self._falls:
            if front.present or one.present:
                return (
                    f"The number in the names falls from {front.path!r} to {one.path!r}, as it "
                    "does in a copy without save times, in a directory of several jobs, or "
                    "where a job is started again and again."
                )
        return ""


def _continues(sighting: Sighting, front: Sighting) -> bool:
    """Whether one goes on from the highest so far.

    The same number under another name was saved by a job that was started again.
    """
    return sighting.path == front.path or (sighting.number or ()) > (front.number or ())


def disagreement(newer: Sighting, other: Sighting, of_newer: str, of_other: str) -> str:
    """Return a sentence on which of two is newer by which witnesses."""
    return f"By {of_newer} {newer.path!r} is newer than {other.path!r}, by {of_other} it is older."


def _disorder(present: Iterable[Sighting], runs: Runs, doubtful: Container[int]) -> str:
    """Two of a run that are not in the same order by number and by save time."""
    numbered = [s for s in present if s.number is not None and s.id not in doubtful]
    numbered.sort(key=lambda s: (runs.of[s.id], s.number, s.saved_at))
    for a, b in pairwise(numbered):
        if runs.of[a.id] != runs.of[b.id] or b.saved_at >= a.saved_at:
            continue
        if b.sequence > a.sequence:
            if a.saved_at - b.saved_at > CLOCK_SKEW:
                both = "number and the order in which they were first seen"
                return disagreement(b, a, both, "save time")
        elif a.number != b.number:
            return disagreement(b, a, "number", "save time")
    return ""


def _disorder_without_numbers(present: Iterable[Sighting], doubtful: Container[int]) -> str:
    """Two without a number that were first seen in another order than they were saved in."""
    times = sorted(
        (s for s in present if s.number is None and not s.original and s.id not in doubtful),
        key=lambda s: (s.sequence, s.saved_at),
    )
    latest: Sighting | None = None
    for one in times:
        if (
            latest is not None
            and one.saved_at < latest.saved_at - CLOCK_SKEW
            and one.sequence > latest.sequence
        ):
            seen = "the order in which they were first seen"
            return disagreement(one, latest, seen, "save time")
        if latest is None or one.saved_at > latest.saved_at:
            latest = one
    return ""
