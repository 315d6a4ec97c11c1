"""The trash of one root: pruned checkpoints wait there, on the same file system, to be restored.

An item is `ROOT/.checkpointd-trash/<time>-<random>/`: a manifest and `content/`. Every step is
one rename of something whole, and the manifest's name says how far an item has come, so that
`Trash.recover` can finish or undo what a crash left. One process at a time may change it.
"""

from checkpointd.retention.trash.expiry import (
    Deleted,
    Disk,
    Expired,
    TrashLimits,
    disk_of,
    min_free_bytes,
    to_delete,
)
from checkpointd.retention.trash.forecast import SpaceForecast, forecast
from checkpointd.retention.trash.inspection import nearest_directory, why_unusable
from checkpointd.retention.trash.item import NotInTrashError, TrashError, TrashItem, bytes_of
from checkpointd.retention.trash.place import TrashPlace, known_trash, place_of, trash_place
from checkpointd.retention.trash.recovery import Recovered
from checkpointd.retention.trash.store import Trash
from checkpointd.retention.trash.unknown import pruned_of, unknown_items

__all__ = [
    "Deleted",
    "Disk",
    "Expired",
    "NotInTrashError",
    "Recovered",
    "SpaceForecast",
    "Trash",
    "TrashError",
    "TrashItem",
    "TrashLimits",
    "TrashPlace",
    "bytes_of",
    "disk_of",
    "forecast",
    "known_trash",
    "min_free_bytes",
    "nearest_directory",
    "place_of",
    "pruned_of",
    "to_delete",
    "trash_place",
    "unknown_items",
    "why_unusable",
]
