"""Retention: what a policy keeps and why, and the careful removal of the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.core.lazy_names import importer_of

if TYPE_CHECKING:
    from checkpointd.retention.decision import Decision
    from checkpointd.retention.holds import Hold
    from checkpointd.retention.planning import RetentionPlan, plan
    from checkpointd.retention.pruner import Pruner
    from checkpointd.retention.reference_index import find_references
    from checkpointd.retention.references import References
    from checkpointd.retention.removal import Removal
    from checkpointd.retention.trash import (
        Deleted,
        Expired,
        Recovered,
        Trash,
        TrashError,
        TrashItem,
    )

_MODULE = {
    "Decision": "decision",
    "Deleted": "trash",
    "Expired": "trash",
    "Hold": "holds",
    "Pruner": "pruner",
    "Recovered": "trash",
    "References": "references",
    "Removal": "removal",
    "RetentionPlan": "planning",
    "Trash": "trash",
    "TrashError": "trash",
    "TrashItem": "trash",
    "find_references": "reference_index",
    "plan": "planning",
}

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

__getattr__ = importer_of(__name__, _MODULE)
