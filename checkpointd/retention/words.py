"""The order of a series and its runs; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from checkpointd.ledger import Entry


def age_key(entry: Entry) -> tuple[float, int, int]:
    """What a series is sorted by: save time, then step, then the order of being seen."""
    step = entry.step
    return entry.saved_at, -1 if step is None else step, entry.id


def newest_first(entries: Iterable[Entry]) -> list[Entry]:
    """Sort a series."""
    return sorted(entries, key=age_key, reverse=True)


def runs_of(oldest_first: Sequence[Entry]) -> list[list[Entry]]:
    """Split a series into runs: a new one begins where the step falls.

    A checkpoint without a step belongs to the run before it.
    """
    runs: list[list[Entry]] = []
    last: int | None = None
    for entry in oldest_first:
        step = entry.step
        if not runs or (step is not None and last is not None and step < last):
            runs.append([])
        runs[-1].append(entry)
        last = step if step is not None else last
    return runs
