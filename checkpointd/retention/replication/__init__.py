"""Copies of valid checkpoints in a bucket, without which none is pruned.

`waiting` decides what waits for a copy and what goes first, `source` reads exactly the generation
that was verified, `copying` writes it to the bucket and reads it back.
"""

from __future__ import annotations

from checkpointd.retention.replication.copying import Copier, Destination, InTheWayError
from checkpointd.retention.replication.lookup import missing_copies
from checkpointd.retention.replication.source import CopyingStoppedError, NotCopiableError
from checkpointd.retention.replication.waiting import LOOK_SECONDS, copying_order, without_copy

__all__ = [
    "LOOK_SECONDS",
    "Copier",
    "CopyingStoppedError",
    "Destination",
    "InTheWayError",
    "NotCopiableError",
    "copying_order",
    "missing_copies",
    "without_copy",
]
