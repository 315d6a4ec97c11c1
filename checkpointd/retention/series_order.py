"""The order of a series: which checkpoint is newer than which, by witnesses that agree; pure.

Three witnesses place a checkpoint: the number in its name, its save time, and the order in which
checkpoints were first seen, which knows nothing of those found together. A job's `checkpoint` state
file is a fourth, for what it lists. None decides alone: each has been wrong in practice (clocks,
copies that keep no times, jobs that were started again).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from checkpointd.ledger import State
from checkpointd.ledger.facts import ABSENT, first_saved_at
from checkpointd.retention.groups import group_of
from checkpointd.retention.runs import Runs, runs_of_series
from checkpointd.retention.save_numbers import number_of
from checkpointd.retention.save_times import (
    Sighting,
    doubtful_times,
    latest_credible,
    sighting_of,
)
from checkpointd.retention.saving_order import SavingOrders, saved_before

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from checkpointd.config.locate import OrderBy
    from checkpointd.ledger import DepartedCheckpoint, Entry
    from checkpointd.retention.groups import GroupBy, SeriesKey
    from checkpointd.retention.save_numbers import Number
    from checkpointd.retention.saving_order import ListedSeries, SavingOrder


@dataclass(frozen=True)
class SeriesOrder:
    """What is known of the order of the checkpoints of one series that are on disk.

    Attributes:
        newest_first: the checkpoints, the newest run first.
        sightings: what places each, by id.
        run: the number of the run of each, 0 the oldest, by id.
        other_runs: the runs as they may be as well, the newest first, each by number; empty if
            there is only one reading.
        rank: the place of each, the oldest lowest, by id.
        doubts: why the place of a checkpoint is in doubt, so that it stays and fills no slot.
        doubtful_times: the ids of those whose save time is not believed.
        undecided: what witnesses disagree about; empty if they agree.
        scattered: the save times are those of a copy that kept none, and so is the order in which
            they were first seen.
        by: what decides.
        listed: the order of saving by each state file that lists two or more.
    """

    newest_first: tuple[Entry, ...]
    sightings: dict[int, Sighting]
    run: dict[int, int]
    rank: dict[int, int]
    doubts: dict[int, str]
    doubtful_times: frozenset[int] = frozenset()
    undecided: str = ""
    scattered: bool = False
    by: OrderBy = "witnesses"
    other_runs: tuple[tuple[Entry, ...], ...] = ()
    listed: tuple[ListedSeries, ...] = ()

    def by_first_seen(self, entries: Iterable[Entry]) -> list[Entry]:
        """Those last seen first; those found together by their place."""
        rank = self.rank
        return sorted(entries, key=lambda e: (e.sequence, rank[e.id]), reverse=True)

    def newest_by(self) -> dict[int, str]:
        """The newest by each witness, and by which: of those whose format is known."""
        candidates = [e for e in self.newest_first if e.state is not State.UNKNOWN]
        if not candidates:
            return {}
        first = by_number = by_time = last_seen = candidates[0]
        sightings = self.sightings
        number = sightings[first.id].number or ()
        is_timed = first.id not in self.doubtful_times
        for entry in candidates:  # of equal ones the first stays, which is the newest by rank
            of_name = sightings[entry.id].number
            if of_name is not None and of_name > number:
                by_number, number = entry, of_name
            if entry.id not in self.doubtful_times and (
                not is_timed or entry.content_saved_at > by_time.content_saved_at
            ):
                by_time, is_timed = entry, True
            if entry.sequence > last_seen.sequence:
                last_seen = entry
        witnesses: dict[int, list[str]] = {first.id: []}
        for witness, newest in (
            ("number", by_number if number else None),
            ("save time", by_time if is_timed else None),
            ("the order of being seen", last_seen if last_seen is not first else None),
        ):
            if newest is not None:
                witnesses.setdefault(newest.id, []).append(witness)
        everywhere = len(witnesses) == 1
        return {i: "" if everywhere else ", ".join(names) for i, names in witnesses.items()}


def departed_sighting(
    departed: DepartedCheckpoint, group_by: GroupBy = "series"
) -> tuple[SeriesKey, Sighting]:
    """Return what is known of the place of a checkpoint that is not on disk any more."""
    checkpoint = departed.checkpoint
    return group_of(checkpoint, group_by), Sighting(
        departed.id,
        checkpoint.path,
        number_of(checkpoint.version, departed.step, checkpoint.metrics),
        first_saved_at(departed.saved_at, departed.original),
        departed.first_seen,
        departed.seen,
        departed.sequence,
        present=False,
        original=departed.original,
        before=departed.before,
    )


def order_series(
    entries: Iterable[Entry],
    now: float,
    past: Iterable[tuple[SeriesKey, Sighting]] = (),
    by: OrderBy = "witnesses",
    group_by: GroupBy = "series",
    saving_orders: Sequence[SavingOrder] = (),
) -> dict[SeriesKey, SeriesOrder]:
    """Order every series.

    Args:
        entries: what is known of one watch or several; what is not on disk any more still tells
            where runs begin.
        now: seconds since the epoch.
        past: more of what is not on disk any more.
        by: what decides, as in `[watch.retention]`.
        group_by: which series are ordered together.
        saving_orders: what state files say.
    """
    groups: dict[SeriesKey, list[Entry]] = {}
    series: dict[SeriesKey, list[Sighting]] = {}
    for key, one in past:
        series.setdefault(key, []).append(one)
    for entry in entries:
        key = group_of(entry.checkpoint, group_by)
        is_present = entry.state not in ABSENT
        series.setdefault(key, []).append(sighting_of(entry, present=is_present))
        if is_present:
            groups.setdefault(key, []).append(entry)
    credible = latest_credible(chain.from_iterable(series.values()), now)
    orders = SavingOrders(saving_orders)
    return {key: _order(group, series[key], credible, by, orders) for key, group in groups.items()}


def _order(
    group: list[Entry],
    series: Sequence[Sighting],
    credible: dict[int, float],
    by: OrderBy,
    saving_orders: SavingOrders,
) -> SeriesOrder:
    doubts = {} if by == "number" else doubtful_times(series, credible)
    if len(group) == 1 and len(series) == 1:
        (entry,) = group
        place = {entry.id: 0}
        return SeriesOrder((entry,), {entry.id: series[0]}, place, place, doubts, frozenset(doubts))
    doubtful = frozenset(doubts)
    listed: tuple[ListedSeries, ...] = ()
    if by == "witnesses":
        listed = saving_orders.of(group)
        runs = runs_of_series(series, doubts, credible, saved_before(listed))
        doubts.update(_only_by_time(series))
    else:
        runs = Runs({one.id: 0 for one in series})
    if by == "number":
        lack = 'it has no number, and order = "number"'
        doubts = {one.id: lack for one in series if one.number is None}
    sightings = {one.id: one for one in series if one.present}

    def age_order(entry: Entry) -> tuple[int, Number, float, int, int]:
        one = sightings[entry.id]
        time = min(one.saved_at, credible[one.id]) if one.id in doubts else one.saved_at
        number = runs.carried.get(one.id, ()) if one.number is None else one.number
        if by == "save_time":
            number = ()
        return runs.of[one.id], number, time, one.sequence, one.id

    ordered = sorted(group, key=age_order)
    rank = {e.id: n for n, e in enumerate(ordered)}
    return SeriesOrder(
        newest_first=tuple(reversed(ordered)),
        sightings=sightings,
        run=runs.of,
        rank=rank,
        doubts=doubts,
        doubtful_times=doubtful,
        undecided=runs.undecided or _contradiction(listed, rank, sightings),
        scattered=runs.scattered,
        by=by,
        other_runs=_other_runs(ordered, runs, sightings),
        listed=listed,
    )


def _other_runs(
    ordered: Sequence[Entry], runs: Runs, sightings: dict[int, Sighting]
) -> tuple[tuple[Entry, ...], ...]:
    runs_by_number: dict[int, list[Entry]] = {}
    for entry in ordered if runs.at_each_fall else ():
        runs_by_number.setdefault(runs.at_each_fall.get(entry.id, runs.of[entry.id]), []).append(
            entry
        )
    for run in runs_by_number.values():
        run.sort(key=lambda e: _by_number(sightings[e.id]), reverse=True)
    return tuple(tuple(runs_by_number[n]) for n in sorted(runs_by_number, reverse=True))


def _contradiction(
    listed: Sequence[ListedSeries], rank: dict[int, int], sightings: dict[int, Sighting]
) -> str:
    """What a state file says against the order by number, save time and first sight."""
    for one in listed:
        contradiction = one.contradiction(rank)
        if contradiction is not None:
            first, second = (sightings[i].path for i in contradiction)
            return (
                f"By the state file {one.path!r} {first!r} was saved before {second!r}, by number, "
                "save time and the order in which they were first seen it was saved after it."
            )
    return ""


def _by_number(sighting: Sighting) -> tuple[Number, int, float]:
    return sighting.number or (), sighting.sequence, sighting.saved_at


def _only_by_time(series: Sequence[Sighting]) -> dict[int, str]:
    """Those that only their save time places: found together, without a number or with the same."""
    together: dict[tuple[int, Number | None], list[Sighting]] = {}
    for one in series:
        together.setdefault((one.sequence, one.number), []).append(one)
    return {
        one.id: f"{len(found)} were found together{' with the same number' if number else ''}, and "
        "only save time says which is newer"
        for (_, number), found in together.items()
        if len(found) > 1
        for one in found
    }
