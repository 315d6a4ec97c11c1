"""Retention in buckets without the daemon, under the lock of the state directory."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from checkpointd.buckets.deleting import BucketSafety
from checkpointd.retention.buckets import (
    BucketKeeper,
    BucketPruner,
    BucketRecords,
    BucketReferences,
    BucketView,
    plan_bucket,
    view_bucket,
    with_safety,
)
from checkpointd.retention.confirmation import confirm_plan, confirmed
from checkpointd.retention.policy import note_enforced
from checkpointd.retention.preview import ON_HOLD
from checkpointd.retention.public import public_plan, public_removal

if TYPE_CHECKING:
    from checkpointd.config import WatchSettings
    from checkpointd.ledger import Ledger
    from checkpointd.retention import RetentionPlan


def plan_of_bucket(ledger: Ledger, watch: WatchSettings) -> RetentionPlan:
    """The plan of a watch of a bucket, with why nothing may be removed; nothing is changed."""
    view = BucketView(watch.bucket)
    root = view_bucket(watch.name, view, ledger)
    planned = plan_bucket(ledger, watch, time.time(), view, BucketReferences(view), root)
    planned = confirm_plan(ledger, watch, planned)
    if not planned.removals or watch.retention.mode != "enforce":
        return planned
    records = BucketRecords(view)
    with contextlib.suppress(OSError):  # `view_bucket` has reported that
        records.read()
    return with_safety(planned, watch, BucketPruner(watch.name, view, ledger), records)[0]


def apply_in_bucket(ledger: Ledger, watch: WatchSettings) -> dict[str, Any]:
    """Carry out the retention of a watch of a bucket; returns its plan with `removals`."""
    view = BucketView(watch.bucket)
    references = BucketReferences(view)
    pruner = BucketPruner(watch.name, view, ledger)
    try:
        pruner.recover()
    except OSError as error:
        message = f"{watch.bucket} cannot be pruned: {error.strerror}."
        mode = watch.retention.mode
        return {"watch": watch.name, "mode": mode, "message": message, "failed": True}
    keeper, now = BucketKeeper(watch.name, view, ledger), time.time()
    root = keeper.synchronize(enforce=True)
    planned = plan_bucket(ledger, watch, now, view, references, root, by_person=True)
    planned, safety = replace(planned, unconfirmed=()), BucketSafety()
    if planned.removals:
        planned, safety = with_safety(planned, watch, pruner, keeper, keeper.sign)
    removals = []
    if not planned.unconfirmed:
        before = ledger.policy_records(watch.name)
        ledger.record_policies(watch.name, confirmed(watch, planned, now, before))
        removals = pruner.apply(planned, references, safety)
    note_enforced(ledger, watch, removals)
    return {
        **public_plan(watch.name, planned),
        "skipped": ON_HOLD if planned.unconfirmed else "",
        "removals": [public_removal(removal) for removal in removals],
    }
