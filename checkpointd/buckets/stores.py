"""Opens the bucket of a URL for deletes; only then the libraries for them are imported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.core.urls import parse_url

if TYPE_CHECKING:
    from checkpointd.buckets.deleting import DeletingStore


def deleting_store(url: str) -> DeletingStore:
    """Open the bucket of a URL for deletes.

    Raises:
        OSError: what it needs is not installed, or the environment cannot be used.
        ValueError: it is no URL of a bucket.
    """
    bucket = parse_url(url)
    if bucket.scheme == "s3":
        from checkpointd.buckets.s3_deletes import S3Deletes

        return S3Deletes(bucket)
    from checkpointd.buckets.gcs_deletes import GcsDeletes

    return GcsDeletes(bucket)
