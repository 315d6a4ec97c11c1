"""Checkpoints in buckets: listings, reads that are pinned to one content, and staging.

Only `client` and `writing` call obstore. `BucketStorage` is a `formats.Storage`, so that the
same code decides about objects as about files; `stage` copies one generation to the local disk.
"""

from __future__ import annotations

from checkpointd.buckets.client import BucketClient, ObjectChangedError
from checkpointd.buckets.staging import StagingStoppedError, stage
from checkpointd.buckets.storage import BucketStorage, storage_of, why_not_listed
from checkpointd.buckets.writing import (
    BucketWriter,
    MarkedObject,
    ObjectInTheWayError,
    part_size,
)

__all__ = [
    "BucketClient",
    "BucketStorage",
    "BucketWriter",
    "MarkedObject",
    "ObjectChangedError",
    "ObjectInTheWayError",
    "StagingStoppedError",
    "part_size",
    "stage",
    "storage_of",
    "why_not_listed",
]
