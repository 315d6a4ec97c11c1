"""The plan for a watch of a bucket: the same decisions as on disk, from what the bucket shows.

What a bucket cannot show counts against a removal only where the disk would: nobody sees who reads
an object, so `min_age` alone keeps what a reader has just begun to load.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.ledger import State
from checkpointd.retention.watch_plan import DiskDifferences, plan_entries

if TYPE_CHECKING:
    from checkpointd.config import WatchSettings
    from checkpointd.retention.buckets.references import BucketReferences
    from checkpointd.retention.buckets.view import BucketView
    from checkpointd.retention.evaluation import CurrentEvaluation
    from checkpointd.retention.planning import RetentionPlan
    from checkpointd.retention.root.inspection import RootView
    from checkpointd.retention.watch_plan import PlanningLedger


def plan_bucket(
    ledger: PlanningLedger,
    watch: WatchSettings,
    now: float,
    view: BucketView,
    references: BucketReferences,
    root: RootView,
    problem: str = "",
    evaluation: CurrentEvaluation | None = None,
    *,
    by_person: bool = False,
) -> RetentionPlan:
    """Plan the retention of one watch of a bucket.

    Args:
        ledger: the ledger.
        watch: the watch.
        now: seconds since the epoch.
        view: the listing of its root, which is renewed.
        references: the state files in it.
        root: the pins, and what is doubtful about the bucket and the ledger.
        problem: why the watch is not available, if it is not; then nothing is removed.
        evaluation: how `evaluate` measures checkpoints now.
        by_person: whether a person has the plan carried out, whole runs included (`keep_runs`).
    """
    current_references = references.sweep()
    entries = root.marked(ledger.entries(watch.name))
    changed, shared = frozenset[str](), frozenset[str]()
    if not current_references.errors:
        valid = (entry for entry in entries if entry.state is State.VALID)
        changed = frozenset(entry.path for entry in valid if not view.is_unchanged(entry))
        shared = frozenset(entry.path for entry in entries if view.is_shared(entry))
    return plan_entries(
        ledger,
        watch,
        now,
        entries,
        current_references,
        DiskDifferences(changed, shared=shared),
        root.doubts,
        problem=problem,
        evaluation=evaluation,
        by_person=by_person,
    )
