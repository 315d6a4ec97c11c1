"""Which checkpoints rules may choose from, and what rules see of them; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.core.report import Facts
from checkpointd.ledger import State
from checkpointd.retention_rules import SavedCheckpoint

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.config import RetentionSettings
    from checkpointd.ledger import Ages, Entry

_NONE: frozenset[str] = frozenset()
_NOT_A_CHECKPOINT = "structure.not_a_checkpoint"


def has_shown(entry: Entry, required: Iterable[str]) -> bool:
    """Whether a checkpoint is valid, and its report has shown what is required."""
    if entry.state is not State.VALID or entry.report is None:
        return False
    shown = entry.report.shown
    for word in required:  # noqa: SIM110 - a generator for each checkpoint takes long
        if word not in shown:
            return False
    return True


def is_eligible(entry: Entry, policy: RetentionSettings) -> bool:
    """Whether a checkpoint may fill a slot under a policy."""
    return has_shown(entry, policy.require)


def is_broken_checkpoint(entry: Entry) -> bool:
    """Whether it is an invalid checkpoint, and not another kind of file with such a name."""
    if entry.state is not State.INVALID:
        return False
    return entry.report is None or entry.report.reason != _NOT_A_CHECKPOINT


def seconds_since_seen(entry: Entry, ages: Ages) -> float:
    """Seconds since the content was first seen, by a clock that cannot be set."""
    return ages.age(entry.seen or entry.first_seen)


def saved_checkpoint(entry: Entry, now: float, ages: Ages) -> SavedCheckpoint:
    """What a rule sees of a checkpoint; `now` is in seconds since the epoch."""
    facts = entry.report.facts if entry.report else Facts()
    named = entry.checkpoint.metrics
    return SavedCheckpoint(
        entry.id,
        entry.content_saved_at,
        now - seconds_since_seen(entry, ages),
        entry.step,
        {**named, **facts.metrics} if facts.metrics else named,
        named,
        frozenset(facts.evaluation) if facts.evaluation else _NONE,
        facts.evaluated_by,
        entry.tags,
    )
