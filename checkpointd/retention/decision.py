"""The decision about one checkpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from checkpointd.ledger import Entry


class Decision(NamedTuple):
    """One checkpoint, kept or to be removed; `rule` labels the first reason, for the metrics.

    `yields`: what keeps it yields to `max_total_bytes`. `run` is the number of its run in the
    series, 0 the oldest.
    """

    entry: Entry
    keep: bool
    reasons: tuple[str, ...]
    rule: str
    yields: bool = False
    run: int = 0
