"""Retention of watches of buckets: nothing is removed yet. Deletes and replication belong here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.config.buckets import WHY_NOTHING_IS_REMOVED

if TYPE_CHECKING:
    from checkpointd.config import WatchSettings


def outcome_of_bucket(watch: WatchSettings, *, apply: bool) -> dict[str, Any]:
    """Return what comes of `prune` for a bucket, as `public_plan` has it, and why."""
    why = f"{watch.bucket}: {WHY_NOTHING_IS_REMOVED}."
    return {
        "watch": watch.name,
        "mode": watch.retention.mode,
        "decisions": [],
        "holds": [],
        "removals": [],
        "applied": False,
        **({"skipped": why} if apply else {"message": why}),
    }
