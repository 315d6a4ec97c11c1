"""Policies, series and plans that exist nowhere on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.config import RetentionSettings
from tests.helpers.ledger import entry

if TYPE_CHECKING:
    from checkpointd.ledger import Entry
    from checkpointd.retention import RetentionPlan

NOW = 100_000_000.0
HOUR = 3600.0


def policy(**keys: Any) -> RetentionSettings:
    """A policy with these keys, and a floor of one."""
    return RetentionSettings(**{"keep_min_valid": 1, **keys})


def series(count: int, **keys: Any) -> list[Entry]:
    """`count` valid ones, an hour apart, the last one saved an hour ago."""
    return [
        entry(i, step=i, saved_at=NOW - (count - i + 1) * HOUR, **keys) for i in range(1, count + 1)
    ]


def kept(planned: RetentionPlan) -> set[int]:
    """The ids of what a plan keeps."""
    return {d.entry.id for d in planned.kept}


def reasons_for(planned: RetentionPlan, identity: int) -> str:
    """The reasons of a plan for one checkpoint."""
    return "; ".join(next(d.reasons for d in planned.decisions if d.entry.id == identity))


def hold_reasons(planned: RetentionPlan) -> set[str]:
    """The labels of a plan's holds."""
    return {hold.reason for hold in planned.holds}
