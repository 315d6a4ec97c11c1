"""Checkpoints in buckets: listings, reads that are pinned to one content, and staging.

Only `client` and `writing` call obstore. `BucketStorage` is a `formats.Storage`, so that the
same code decides about objects as about files; `stage` copies one generation to the local disk.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.core.lazy_names import importer_of

if TYPE_CHECKING:
    from checkpointd.buckets.client import BucketClient, ObjectChangedError
    from checkpointd.buckets.lookup import storage_of
    from checkpointd.buckets.staging import StagingStoppedError, stage
    from checkpointd.buckets.storage import BucketStorage, blocks_of, why_not_listed
    from checkpointd.buckets.writing import (
        BucketWriter,
        MarkedObject,
        ObjectInTheWayError,
        part_size,
    )

_MODULE = {
    "BucketClient": "client",
    "BucketStorage": "storage",
    "BucketWriter": "writing",
    "MarkedObject": "writing",
    "ObjectChangedError": "client",
    "ObjectInTheWayError": "writing",
    "StagingStoppedError": "staging",
    "blocks_of": "storage",
    "part_size": "writing",
    "stage": "staging",
    "storage_of": "lookup",
    "why_not_listed": "storage",
}

__all__ = [
    "BucketClient",
    "BucketStorage",
    "BucketWriter",
    "MarkedObject",
    "ObjectChangedError",
    "ObjectInTheWayError",
    "StagingStoppedError",
    "blocks_of",
    "part_size",
    "stage",
    "storage_of",
    "why_not_listed",
]

__getattr__ = importer_of(__name__, _MODULE)
