"""Retention: what a policy keeps and why, and the careful removal of the rest."""

from checkpointd.retention.decision import Decision
from checkpointd.retention.holds import Hold
from checkpointd.retention.plan import RetentionPlan, plan
from checkpointd.retention.pruner import Pruner
from checkpointd.retention.reference_index import find_references
from checkpointd.retention.references import References
from checkpointd.retention.removal import Removal
from checkpointd.retention.trash import Deleted, Expired, Recovered, Trash, TrashError, TrashItem

__all__ = [
    "Decision",
    "Deleted",
    "Expired",
    "Hold",
    "Pruner",
    "Recovered",
    "References",
    "Removal",
    "RetentionPlan",
    "Trash",
    "TrashError",
    "TrashItem",
    "find_references",
    "plan",
]
