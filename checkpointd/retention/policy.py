"""Whether a policy is another one than the one that was last carried out."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.config import WatchSettings
    from checkpointd.retention.pruner import Removal

_DECIDES_NOTHING = ("mode", "trash_ttl", "trash_mode", "trash_dir")


class PolicyRecords(Protocol):
    """What is needed of the ledger."""

    def enforced_policy(self, watch: str) -> str:
        """The digest of the policy that was last carried out in a watch; empty if none was."""
        ...

    def record_enforced_policy(self, watch: str, digest: str) -> None:
        """Record under which policy a watch has been pruned."""
        ...


def policy_digest(watch: WatchSettings) -> str:
    """A text that differs when the policy of a watch may remove something else."""
    shown = watch.retention.model_dump(mode="json")
    for name in _DECIDES_NOTHING:
        shown.pop(name, None)
    return hashlib.sha256(json.dumps(shown, sort_keys=True).encode()).hexdigest()


def is_changed(records: PolicyRecords, watch: WatchSettings) -> bool:
    """Whether a watch was last pruned under another policy, or never."""
    return records.enforced_policy(watch.name) != policy_digest(watch)


def note_enforced(
    records: PolicyRecords, watch: WatchSettings, removals: Sequence[Removal]
) -> None:
    """Record the policy once a round has removed something, and all that it was to remove."""
    if removals and all(removal.done for removal in removals) and is_changed(records, watch):
        records.record_enforced_policy(watch.name, policy_digest(watch))
