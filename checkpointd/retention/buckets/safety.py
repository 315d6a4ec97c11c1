"""Whether a bucket may be pruned at all: what its store must have shown, and the cure if not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.buckets.deleting import BucketSafety
from checkpointd.buckets.stores import deleting_store
from checkpointd.retention.holds import Hold

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.config import WatchSettings
    from checkpointd.retention.planning import RetentionPlan

DELETES_UNSAFE = "deletes_unsafe"
NO_UNDO = "no_undo"
STORE_NOT_ASKED = "store_not_asked"
BUCKET_HOLDS = {
    DELETES_UNSAFE: (
        "Use a store that honours `If-Match` or `ifGenerationMatch` in deletes, such as S3, Google "
        'Cloud Storage or SeaweedFS; or set mode = "dry-run".'
    ),
    NO_UNDO: "Enable versioning or soft delete for the bucket; nothing is removed until then.",
    STORE_NOT_ASKED: (
        "See `checkpointd docs buckets` for the rights that the credentials need; it is asked "
        "again in the next round."
    ),
}
"""The cure of each hold of a bucket, for the manual."""


def with_safety(
    plan: RetentionPlan, watch: WatchSettings, ask: Callable[[], BucketSafety]
) -> tuple[RetentionPlan, BucketSafety]:
    """The plan, with why nothing may be removed from the bucket; and what the store has shown.

    Args:
        plan: what would be done.
        watch: the watch of a bucket.
        ask: finds out what the store shows, if anything is to be removed.
    """
    try:
        found = ask()
    except OSError as error:
        why = str(error.strerror or error)
        holds = [_hold(watch, STORE_NOT_ASKED, f"nobody knows whether its deletes are safe: {why}")]
        found = BucketSafety(why, why)
    else:
        holds = [
            _hold(watch, reason, why)
            for reason, why in ((DELETES_UNSAFE, found.deletes), (NO_UNDO, found.undo))
            if why
        ]
    return replace(plan, unconfirmed=(*holds, *plan.unconfirmed)), found


def why_not_pruned(watch: WatchSettings) -> str:
    """Why nothing may be removed from a bucket, as a sentence without its end; empty if it may."""
    try:
        found = deleting_store(watch.bucket).safety()
    except OSError as error:
        return f"nobody knows whether deletes are safe there: {error.strerror or error}"
    return found.deletes or found.undo


def _hold(watch: WatchSettings, reason: str, why: str) -> Hold:
    message = f"Nothing is removed from {watch.bucket}: {why}."
    return Hold(watch.name, "", reason, message, BUCKET_HOLDS[reason])
