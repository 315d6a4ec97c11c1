"""The watcher of a directory, or of a bucket: both have the same methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.watch.watcher import Watcher

if TYPE_CHECKING:
    from checkpointd.config import WatchSettings
    from checkpointd.watch.bucket_watcher import BucketWatcher

    AnyWatcher = Watcher | BucketWatcher


def watcher_class(settings: WatchSettings) -> type[Watcher | BucketWatcher]:
    """Return the class of a watch's watcher; that of buckets is imported for one alone."""
    if not settings.bucket:
        return Watcher
    from checkpointd.watch.bucket_watcher import BucketWatcher

    return BucketWatcher
