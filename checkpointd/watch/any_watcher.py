"""The watcher of a directory, or of a bucket: both have the same methods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.watch.bucket_watcher import BucketWatcher
from checkpointd.watch.watcher import Watcher

if TYPE_CHECKING:
    from checkpointd.config import WatchSettings

AnyWatcher = Watcher | BucketWatcher


def watcher_class(settings: WatchSettings) -> type[Watcher | BucketWatcher]:
    """Return the class of a watch's watcher."""
    return BucketWatcher if settings.bucket else Watcher
