"""Which checkpoints the vault copies, and when a copy is better than the trash; pure."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

from checkpointd.retention.eligibility import is_eligible

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.config import RetentionSettings
    from checkpointd.ledger import Entry, PolicyRecords
    from checkpointd.retention.planning import RetentionPlan
    from checkpointd.retention.trash import TrashItem

REPLACED = "replaced"
"""The rule of what a restored copy took the place of."""

_NOT_VALID = frozenset({REPLACED, "quarantine_ttl"})
"""The rules by which only what is not valid goes to the trash."""


def was_valid(item: TrashItem) -> bool:
    """Whether an item of the trash was valid when it was moved there."""
    return item.manifest.rule not in _NOT_VALID


def is_copy_wanted(
    path_or_id: str, trashed: Iterable[TrashItem], copies: Iterable[TrashItem]
) -> bool:
    """Whether a copy in the vault is what a person means, and not an item of the trash.

    A path means what was valid when it was pruned, else a copy, else what was not valid.

    Args:
        path_or_id: what the person named.
        trashed: the items of the trash, newest first.
        copies: the items of the vault.
    """
    if not any(path_or_id in (copy.path, copy.id) for copy in copies):
        return False
    return not any(
        path_or_id == item.id or (path_or_id == item.path and was_valid(item)) for item in trashed
    )


def copies_to_keep(policy: RetentionSettings, records: PolicyRecords) -> int:
    """How many copies of each path stay; a number that is lower now has to be confirmed.

    Args:
        policy: of the watch.
        records: the policy that was accepted for it, and one that waits for a person.
    """
    now = policy.vault or 0
    if policy.confirm == "never" or records.accepted is None or records.waiting is None:
        return now
    try:
        before = json.loads(records.accepted.policy)["retention"]["vault"]
    except (ValueError, KeyError, TypeError):
        return now
    return max(now, before) if isinstance(before, int) else now


def too_many(copies: Iterable[TrashItem], count: int) -> list[TrashItem]:
    """The copies of each path beyond the newest `count`.

    Args:
        copies: the items of the vault, newest first.
        count: how many of each path stay.
    """
    seen = Counter[str]()
    surplus = []
    for copy in copies:
        seen[copy.path] += 1
        if seen[copy.path] > count:
            surplus.append(copy)
    return surplus


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
