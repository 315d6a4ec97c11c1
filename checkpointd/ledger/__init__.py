"""The ledger: everything that is known of every checkpoint, in one SQLite file. The only state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.core.lazy_names import importer_of

if TYPE_CHECKING:
    from checkpointd.ledger.bucket_removals import BucketRemoval, RemovalStage, RemovedObject
    from checkpointd.ledger.changes import Change, ChangeKind
    from checkpointd.ledger.clock import Ages, WallAges
    from checkpointd.ledger.errors import LedgerError, NoLedgerError
    from checkpointd.ledger.facts import (
        CheckpointSummary,
        DepartedCheckpoint,
        Entry,
        Moved,
        Pin,
        Pruned,
        SeriesSummary,
        State,
    )
    from checkpointd.ledger.hook_queue import HookCounts, HookEvent
    from checkpointd.ledger.lock import StateLock
    from checkpointd.ledger.policies import AcceptedPolicy, PolicyRecords
    from checkpointd.ledger.replicas import Replica, ReplicaObject, Unreplicated
    from checkpointd.ledger.store import Ledger
    from checkpointd.ledger.summaries import ReportSummary
    from checkpointd.ledger.trashes import KnownTrash, TrashTtl

_MODULE = {
    "AcceptedPolicy": "policies",
    "Ages": "clock",
    "BucketRemoval": "bucket_removals",
    "Change": "changes",
    "ChangeKind": "changes",
    "CheckpointSummary": "facts",
    "DepartedCheckpoint": "facts",
    "Entry": "facts",
    "HookCounts": "hook_queue",
    "HookEvent": "hook_queue",
    "KnownTrash": "trashes",
    "Ledger": "store",
    "LedgerError": "errors",
    "Moved": "facts",
    "NoLedgerError": "errors",
    "Pin": "facts",
    "PolicyRecords": "policies",
    "Pruned": "facts",
    "RemovalStage": "bucket_removals",
    "RemovedObject": "bucket_removals",
    "Replica": "replicas",
    "ReplicaObject": "replicas",
    "ReportSummary": "summaries",
    "SeriesSummary": "facts",
    "State": "facts",
    "StateLock": "lock",
    "TrashTtl": "trashes",
    "Unreplicated": "replicas",
    "WallAges": "clock",
}

__all__ = [
    "AcceptedPolicy",
    "Ages",
    "BucketRemoval",
    "Change",
    "ChangeKind",
    "CheckpointSummary",
    "DepartedCheckpoint",
    "Entry",
    "HookCounts",
    "HookEvent",
    "KnownTrash",
    "Ledger",
    "LedgerError",
    "Moved",
    "NoLedgerError",
    "Pin",
    "PolicyRecords",
    "Pruned",
    "RemovalStage",
    "RemovedObject",
    "Replica",
    "ReplicaObject",
    "ReportSummary",
    "SeriesSummary",
    "State",
    "StateLock",
    "TrashTtl",
    "Unreplicated",
    "WallAges",
]

__getattr__ = importer_of(__name__, _MODULE)
