"""Whether a bucket may be pruned: what its store must support, and the cure if it does not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from checkpointd.buckets.deleting import BucketSafety
from checkpointd.buckets.stores import deleting_store
from checkpointd.retention.buckets.root import BucketRecords
from checkpointd.retention.buckets.view import BucketView
from checkpointd.retention.holds import Hold

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.buckets.client import StoredObject
    from checkpointd.config import WatchSettings
    from checkpointd.retention.buckets.pruner import BucketPruner
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
        "See `checkpointd docs buckets` for the permissions that the credentials need; it is asked "
        "again in the next round."
    ),
}
"""The cure of each hold of a bucket, for the manual."""


class RecordHolder(Protocol):
    """Has one of our records in the bucket; `BucketRecords` and `BucketKeeper` do."""

    @property
    def own(self) -> StoredObject | None:
        """That object; None if there is none."""
        ...


class _OtherDaemonError(Exception):
    """Another daemon has just begun to prune there."""


def with_safety(
    plan: RetentionPlan,
    watch: WatchSettings,
    pruner: BucketPruner,
    records: RecordHolder,
    sign: Callable[[], bool] | None = None,
) -> tuple[RetentionPlan, BucketSafety]:
    """Add why nothing may be removed from a bucket to a plan; also return what its store showed.

    Args:
        plan: what would be done.
        watch: the watch of a bucket.
        pruner: asks the store.
        records: of the bucket.
        sign: notes in the bucket who removes something now, and returns False if somebody else has
            done so since; None: nothing is removed.
    """
    holds = list[Hold]()
    try:
        safety = _ask_store(pruner, records, sign)
    except OSError as error:
        why = f"nobody knows whether its deletes are safe: {error.strerror or error}"
        holds, safety = [_hold(watch, STORE_NOT_ASKED, why)], BucketSafety(why, why)
    except _OtherDaemonError:
        why = "another checkpointd has just begun to prune there"
        holds, safety = [_hold(watch, STORE_NOT_ASKED, why)], BucketSafety(why, why)
    else:
        reasons = ((DELETES_UNSAFE, safety.deletes), (NO_UNDO, safety.undo))
        holds = [_hold(watch, reason, why) for reason, why in reasons if why]
    return replace(plan, unconfirmed=(*holds, *plan.unconfirmed)), safety


def _ask_store(
    pruner: BucketPruner, records: RecordHolder, sign: Callable[[], bool] | None
) -> BucketSafety:
    """What the store shows; signed before something is removed, or where only that can show it."""
    safety = pruner.safety(records.own)
    if sign is not None and (safety.is_unproven or not (safety.deletes or safety.undo)):
        if not sign():
            raise _OtherDaemonError
        if safety.is_unproven:
            return pruner.safety(records.own)
    return safety


def why_not_pruned(watch: WatchSettings) -> str:
    """Why nothing may be removed from a bucket, as a sentence without its end; empty if it may."""
    try:
        records = BucketRecords(BucketView(watch.bucket))
        records.read()
        safety = deleting_store(watch.bucket).safety(records.own)
    except OSError as error:
        return f"nobody knows whether deletes are safe there: {error.strerror or error}"
    return safety.deletes or safety.undo


def _hold(watch: WatchSettings, reason: str, why: str) -> Hold:
    message = f"Nothing is removed from {watch.bucket}: {why}."
    return Hold(watch.name, "", reason, message, BUCKET_HOLDS[reason])
