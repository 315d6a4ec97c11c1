"""Which checkpoints the vault copies; pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.retention.eligibility import is_eligible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.ledger import Entry
    from checkpointd.retention.plan import RetentionPlan
    from checkpointd.retention.trash import TrashItem


def to_copy(planned: RetentionPlan, items: Iterable[TrashItem]) -> list[Entry]:
    """The valid checkpoints whose path the next save overwrites, and that are not copied yet.

    A path is overwritten if nothing in its name counts. Each must have shown what `require` asks.
    """
    copied = {(item.path, item.manifest.source) for item in items}
    entries = (decision.entry for decision in planned.decisions)
    return [
        e
        for e in entries
        if not e.checkpoint.version
        and is_eligible(e, planned.policy)
        and e.path not in planned.suspects
        and (e.path, e.generation.key) not in copied
    ]
