"""The trash of one root: pruned checkpoints wait there, on the same file system, to be restored."""

from checkpointd.retention.trash.store import (
    Deleted,
    Expired,
    Item,
    Recovered,
    Trash,
    TrashError,
    min_free_bytes,
)

__all__ = [
    "Deleted",
    "Expired",
    "Item",
    "Recovered",
    "Trash",
    "TrashError",
    "min_free_bytes",
]
