"""Where a path is. What reads buckets is imported only for one: `latest` should not wait for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.core.urls import is_url
from checkpointd.formats.storage import LOCAL

if TYPE_CHECKING:
    from checkpointd.formats.storage import Storage


def storage_of(path: str) -> Storage:
    """Return where a path is: this machine's file system, or the bucket of a URL.

    Raises:
        OSError: the bucket cannot be used.
    """
    if not is_url(path):
        return LOCAL
    from checkpointd.buckets.storage import BucketStorage

    return BucketStorage(path)
