"""Finds the newest valid checkpoint, for `latest` and for the links.

It is the one that at least two of number, save time and order of being first seen call the newest,
and that no state file lists before another. Where no two agree, a state file that lists all the
candidates decides; else it is not known, and the caller gets the candidates.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from checkpointd.buckets import storage_of
from checkpointd.formats import generation_of
from checkpointd.ledger.facts import FINISHED
from checkpointd.retention.eligibility import has_shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from checkpointd.ledger import Entry
    from checkpointd.retention.saving_order import ListedSeries
    from checkpointd.retention.series_order import SeriesOrder

_AGREEING = 2


@dataclass(frozen=True)
class NewestValid:
    """The newest valid checkpoint of a series; without an entry there is none, or it is not known.

    `undecided` is a sentence about the candidates if it is not known, else empty.
    """

    entry: Entry | None = None
    undecided: str = ""


def newest_valid(order: SeriesOrder, required: Iterable[str]) -> NewestValid:
    """The newest that is valid, has shown what is required, and is on disk unchanged.

    Args:
        order: of the series.
        required: what its report must have shown.
    """
    words = frozenset(required)
    valid = [e for e in order.newest_first if has_shown(e, words)]
    is_there = lru_cache(maxsize=None)(lambda i: is_unchanged_on_disk(by_id[i]))
    by_id = {e.id: e for e in valid}

    def newest(candidates: list[Entry], key: Callable[[Entry], tuple[object, ...]]) -> Entry | None:
        ordered = sorted(candidates, key=key, reverse=True)
        return next((e for e in ordered if is_there(e.id)), None)

    rank, sightings = order.rank, order.sightings
    first = newest(valid, lambda e: (rank[e.id],))
    if first is None or order.by != "witnesses":
        return NewestValid(first)
    numbered = [e for e in valid if sightings[e.id].number is not None]
    by_number = newest(numbered, lambda e: (sightings[e.id].number, rank[e.id]))
    timed = [e for e in valid if e.id not in order.doubtful_times]
    by_time = newest(timed, lambda e: (e.content_saved_at, rank[e.id]))
    last_seen = newest(valid, lambda e: (e.sequence, rank[e.id])) or first
    together = [e for e in valid if e.sequence == last_seen.sequence and e is not last_seen]
    before = [e for e in valid if e.sequence != last_seen.sequence]
    is_last = not any(is_there(e.id) for e in together)
    others = any(is_there(e.id) for e in before)
    if is_last and not others:
        return NewestValid(first)
    votes = Counter[int]()
    for entry in (by_number, by_time):
        votes.update([entry.id] if entry is not None else [])
    if others and not order.scattered:
        votes.update(
            [last_seen.id]
            if is_last
            else [i for i in votes if by_id[i].sequence == last_seen.sequence]
        )
    elected = [i for i, count in votes.items() if count >= _AGREEING]
    if len(elected) != 1:
        elected = _last_listed(order, votes)
    if len(elected) == 1:
        entry = by_id[elected[0]]
        later = ((one, newest(_after(entry, one, valid), one.place)) for one in order.listed)
        contradicted = next(((one.path, e) for one, e in later if e is not None), None)
        return NewestValid(entry) if contradicted is None else _undecided(entry, *contradicted)
    newest_by = {
        "number": by_number,
        "save time": by_time,
        "the order in which they were first seen": last_seen if others else None,
    }
    texts = [f"by {name} it is {e.path!r}" for name, e in newest_by.items() if e is not None]
    return NewestValid(
        undecided="Which one is the newest is not certain: " + ", ".join(texts) + "."
    )


def _last_listed(order: SeriesOrder, candidates: Iterable[int]) -> list[int]:
    """The candidate that a state file lists last, if one lists them all."""
    known = frozenset(candidates)
    for one in order.listed:
        if known <= one.places.keys():
            return [max(known, key=one.places.__getitem__)]
    return []


def _after(entry: Entry, listed: ListedSeries, valid: Iterable[Entry]) -> list[Entry]:
    """The valid checkpoints that a state file lists after `entry`."""
    place = listed.places.get(entry.id)
    return [e for e in valid if place is not None and listed.places.get(e.id, -1) > place]


def _undecided(entry: Entry, path: str, later: Entry) -> NewestValid:
    return NewestValid(
        undecided="Which one is the newest is not certain: by number, save time and the order in "
        f"which they were first seen it is {entry.path!r}, by the state file {path!r} it is "
        f"{later.path!r}."
    )


def is_unchanged_on_disk(entry: Entry) -> bool:
    """Whether the content on disk is the one that the ledger knows, by names, sizes and times."""
    try:
        place = storage_of(entry.checkpoint.path)
        on_disk = generation_of(entry.checkpoint.path, entry.checkpoint.format, place)
    except OSError:
        return False
    return on_disk.key == entry.generation.key


def has_current_verdict(entry: Entry | None) -> bool:
    """Whether there is a verdict on the content that is on disk now."""
    return entry is not None and entry.state in FINISHED and is_unchanged_on_disk(entry)
