"""Whether the checkpoints of a series are versions of one model, as far as names and reports say.

Pure; each function is the condition of a hold (`checkpointd.retention.holds`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from checkpointd.series import doubts
from checkpointd.series.labels import relative_to_root

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from checkpointd.ledger import Entry
    from checkpointd.series.doubts import Doubt, SeriesNames


class Grouped(Protocol):
    """A series, as far as these conditions depend on it."""

    @property
    def entries(self) -> Sequence[Entry]:
        """Its checkpoints that are on disk, newest first."""
        ...

    @property
    def templates(self) -> Sequence[str]:
        """The `version` templates of the watch."""
        ...


def number_unclear(series: Grouped) -> Doubt | None:
    """A number that may count epochs, or models."""
    return _doubt(series, doubts.number_unclear)


def steps_unclear(series: Grouped) -> Doubt | None:
    """Few and small steps, which may be those of a forecast."""
    return _doubt(series, doubts.steps_unclear)


def numbers_independent(series: Grouped) -> Doubt | None:
    """Several numbers that vary on their own."""
    return _doubt(series, doubts.numbers_independent)


def _doubt(series: Grouped, find: Callable[[SeriesNames], Doubt | None]) -> Doubt | None:
    if len(series.entries) < 2:  # noqa: PLR2004 - one has nothing to be a version of
        return None
    first = series.entries[0].checkpoint
    label = first.series
    names = [relative_to_root(entry.path, label) for entry in series.entries]
    compared = doubts.names_of(label, names, first.format, series.templates)
    return find(compared) if compared else None
