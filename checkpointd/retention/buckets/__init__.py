"""Retention in buckets: the plans of a disk, carried out by deletes that can be undone.

`BucketView` is the listing with which what was verified is compared, `BucketReferences` reads the
state files in it, `plan_bucket` plans, `with_safety` asks the store whether its deletes are
conditional and can be undone, and `BucketPruner` deletes and restores.
"""

from checkpointd.retention.buckets.planning import plan_bucket
from checkpointd.retention.buckets.pruner import BucketPruner
from checkpointd.retention.buckets.references import BucketReferences
from checkpointd.retention.buckets.root import BucketKeeper, BucketRecords, view_bucket
from checkpointd.retention.buckets.safety import BUCKET_HOLDS, why_not_pruned, with_safety
from checkpointd.retention.buckets.view import BucketView

__all__ = [
    "BUCKET_HOLDS",
    "BucketKeeper",
    "BucketPruner",
    "BucketRecords",
    "BucketReferences",
    "BucketView",
    "plan_bucket",
    "view_bucket",
    "why_not_pruned",
    "with_safety",
]
