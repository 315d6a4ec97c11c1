"""The order in which a job saved, as its `checkpoint` state file lists its checkpoints; pure.

A state file is a witness of the order beside number, save time and first sight. It lags behind the
checkpoints: a job writes it after them, may be killed in between, and writes over what it lists. So
only what it can have known counts: contents that were saved when it says, or before it was written.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from checkpointd.ledger import Entry

_SAME_TIME = 300.0
"""A save takes this long at most, from the files to the time stamp in the state file, in seconds.

TensorFlow takes the time stamp once the files are written, from the clock of the job.
"""

_WRITTEN_TOGETHER = 2.0
"""Files that are written one after the other may have their times in another order, in seconds."""


@dataclass(frozen=True)
class SavingOrder:
    """What one state file says of the order of saving.

    `places` are those of the paths in its list, 0 the oldest, by every spelling of a path;
    `timestamps` are by place, empty if it has none; `written_at` is its own modification time.
    """

    path: str
    places: Mapping[str, int]
    timestamps: Sequence[float] = ()
    written_at: float = 0.0

    def place_of(self, path: str, saved_at: float) -> int | None:
        """The place of what is at a path; None if it is not, or may not be, what is listed."""
        place = self.places.get(path)
        if place is None:
            return None
        if self.timestamps:
            is_listed = abs(saved_at - self.timestamps[place]) <= _SAME_TIME
        else:
            is_listed = 0 < saved_at <= self.written_at + _WRITTEN_TOGETHER
        return place if is_listed else None


@dataclass(frozen=True)
class ListedSeries:
    """The places that one state file gives to the checkpoints of a series, by id."""

    path: str
    places: Mapping[int, int]

    def place(self, entry: Entry) -> tuple[int, ...]:
        """The place of one that is listed."""
        return (self.places[entry.id],)

    def contradiction(self, rank: Mapping[int, int]) -> tuple[int, int] | None:
        """Two that were saved in this order, but are in the other by rank; None if there are none.

        Args:
            rank: the place of each by the other witnesses, the oldest lowest, by id.
        """
        in_order = sorted((i for i in self.places if i in rank), key=self.places.__getitem__)
        return next(((a, b) for a, b in pairwise(in_order) if rank[a] > rank[b]), None)


class SavingOrders:
    """What all state files say, by path.

    Args:
        orders: what each of them says.
    """

    def __init__(self, orders: Sequence[SavingOrder]) -> None:
        self._by_path: dict[str, list[SavingOrder]] = {}
        for order in orders:
            for path in order.places:
                self._by_path.setdefault(path, []).append(order)

    def of(self, series: Sequence[Entry]) -> tuple[ListedSeries, ...]:
        """What each state file says of a series, if it lists two or more of it."""
        by_file: dict[str, dict[int, int]] = {}
        for entry in series if self._by_path else ():
            for order in self._by_path.get(entry.path, ()):
                place = order.place_of(entry.path, entry.content_saved_at)
                if place is not None:
                    by_file.setdefault(order.path, {})[entry.id] = place
        return tuple(ListedSeries(p, places) for p, places in by_file.items() if len(places) > 1)


def saved_before(listed: Sequence[ListedSeries]) -> Callable[[int, int], bool]:
    """Whether a state file says that one was saved before the other, by their ids."""

    def is_before(first: int, second: int) -> bool:
        return any(
            first in one.places and second in one.places and one.places[first] < one.places[second]
            for one in listed
        )

    return is_before
