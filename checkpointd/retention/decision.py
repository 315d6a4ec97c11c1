"""The decision about one checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from checkpointd.ledger import Entry


@dataclass(frozen=True)
class Decision:
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
