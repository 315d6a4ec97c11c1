"""The plan for a watch as it is now: from the ledger's entries and the state of the disk."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from checkpointd.ledger import State
from checkpointd.retention.files import is_same_content, is_shared
from checkpointd.retention.plan import RetentionPlan, plan
from checkpointd.retention.reference_index import ReferenceIndex
from checkpointd.retention.writers import OpenFiles

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


def reference_index(watch: WatchSettings) -> ReferenceIndex:
    """The references to checkpoints of a watch: in its root, its `latest-valid` links, `links`."""
    links = [str(directory) for directory in watch.retention.links]
    return ReferenceIndex(str(watch.path), str(watch.link_directory or ""), links)


def plan_watch(
    ledger: PlanningLedger,
    watch: WatchSettings,
    now: float,
    problem: str = "",
    index: ReferenceIndex | None = None,
) -> RetentionPlan:
    """Plan the retention of one watch.

    Args:
        ledger: the ledger.
        watch: the watch; its root is searched for references, and the targets of its
            `latest-valid` links count as referenced. Valid checkpoints are compared with the disk:
            one that is not as it was verified fills no slot (`RetentionPlan.suspects`).
        now: seconds since the epoch.
        problem: why the watch is not available, if it is not; then nothing is removed.
        index: searches the root for references, and can then be used for carrying the plan out.
    """
    references = (index or reference_index(watch)).sweep()
    entries = ledger.entries(watch.name)
    planned = partial(
        plan,
        entries,
        watch.retention,
        now,
        references,
        changed=frozenset(
            e.path
            for e in entries
            if e.state is State.VALID and not is_same_content(e.path, e.checkpoint, e.generation)
        ),
        shared=frozenset(e.path for e in entries if is_shared(e.path, e.checkpoint, e.generation)),
        listing=" ".join([problem, *references.errors]).strip(),
        rebuilt=ledger.unconfirmed(watch.name),
    )
    first = planned()
    leaving = [decision.entry for decision in first.removals]
    open_files = OpenFiles.of(leaving)
    written = frozenset(e.path for e in leaving if open_files.is_written(e))
    return planned(written=written) if written else first
