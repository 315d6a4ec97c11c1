"""The plan for a watch as it is now: from the ledger's entries and the state of the disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from checkpointd.ledger import State
from checkpointd.retention.files import is_same_content, is_shared
from checkpointd.retention.plan import RetentionPlan, plan
from checkpointd.retention.references import find_references

if TYPE_CHECKING:
    from checkpointd.config import WatchSettings
    from checkpointd.ledger import Entry


class PlanningLedger(Protocol):
    """What planning needs of the ledger; `checkpointd.ledger.Ledger` is one."""

    def entries(self, watch: str | None = None) -> list[Entry]:
        """Everything that is known of a watch."""
        ...

    def unconfirmed(self, watch: str) -> bool:
        """Whether the ledger was lost, and not all has been verified again."""
        ...


def plan_watch(
    ledger: PlanningLedger, watch: WatchSettings, now: float, problem: str = ""
) -> RetentionPlan:
    """Plan the retention of one watch.

    Args:
        ledger: the ledger.
        watch: the watch; its root is searched for references, and the targets of its
            `latest-valid` links count as referenced. Valid checkpoints are compared with the disk:
            one that is not as it was verified fills no slot (`RetentionPlan.suspects`).
        now: seconds since the epoch.
        problem: why the watch is not available, if it is not; then nothing is removed.
    """
    references = find_references(str(watch.path), str(watch.link_directory or ""))
    entries = ledger.entries(watch.name)
    return plan(
        entries,
        watch.retention,
        now,
        references.paths,
        changed=frozenset(
            e.path
            for e in entries
            if e.state is State.VALID and not is_same_content(e.path, e.checkpoint, e.generation)
        ),
        shared=frozenset(e.path for e in entries if is_shared(e.path, e.checkpoint, e.generation)),
        listing=" ".join([problem, *references.errors]).strip(),
        rebuilt=ledger.unconfirmed(watch.name),
    )
