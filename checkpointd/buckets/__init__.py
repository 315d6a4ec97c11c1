"""Checkpoints in buckets: listings, reads that are pinned to one content, and staging.

`client` is the only module that calls obstore. `BucketStorage` is a `formats.Storage`, so that the
same code decides about objects as about files; `stage` copies one generation to the local disk.
"""

from __future__ import annotations

from checkpointd.buckets.client import ObjectChangedError
from checkpointd.buckets.staging import StagingStoppedError, stage
from checkpointd.buckets.storage import BucketStorage, blocks_of, storage_of, why_not_listed

__all__ = [
    "BucketStorage",
    "ObjectChangedError",
    "StagingStoppedError",
    "blocks_of",
    "stage",
    "storage_of",
    "why_not_listed",
]
