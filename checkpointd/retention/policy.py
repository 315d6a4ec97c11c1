"""The identity of a policy, and whether it is the one that was last carried out."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.config import WatchSettings
    from checkpointd.retention.removal import Removal

_OTHER_KEYS = frozenset(
    {
        "mode",
        "confirm",
        "max_removals",
        "max_removals_percent",
        "trash_ttl",
        "trash_mode",
        "trash_dir",
    }
)
_OTHER_WATCH_KEYS = frozenset(
    {
        "name",
        "method",
        "poll_interval",
        "settle",
        "torn_after",
        "scrub_every",
        "verify",
        "publish",
        "hooks",
        "replicate",
        "retention",
    }
)
"""The keys that do not decide what is removed. A key that is new does, until it stands here."""


class PolicyRecords(Protocol):
    """What is needed of the ledger."""

    def enforced_policy(self, watch: str) -> str:
        """The digest of the policy that was last carried out in a watch; empty if none was."""
        ...

    def record_enforced_policy(self, watch: str, digest: str) -> None:
        """Record under which policy a watch has been pruned."""
        ...


def policy_text(watch: WatchSettings) -> str:
    """The keys that decide what a watch keeps, without defaults, as canonical text."""
    keys = watch.model_dump(mode="json", exclude_defaults=True, exclude=set(_OTHER_WATCH_KEYS))
    rules = watch.retention.model_dump(mode="json", exclude_defaults=True, exclude=set(_OTHER_KEYS))
    copied = {"replicate": watch.replicate.to} if watch.replicate.to else {}
    return json.dumps({**keys, **copied, "retention": rules}, sort_keys=True)


def policy_digest(watch: WatchSettings) -> str:
    """A digest that differs when the policy of a watch may remove something else."""
    return hashlib.sha256(policy_text(watch).encode()).hexdigest()


def is_changed(records: PolicyRecords, watch: WatchSettings) -> bool:
    """Whether a watch was last pruned under another policy, or never."""
    return records.enforced_policy(watch.name) != policy_digest(watch)


def note_enforced(
    records: PolicyRecords, watch: WatchSettings, removals: Sequence[Removal]
) -> None:
    """Record the policy once a round has removed something, and all that it was to remove."""
    if removals and all(removal.done for removal in removals) and is_changed(records, watch):
        records.record_enforced_policy(watch.name, policy_digest(watch))
