"""The plan for a watch as it is now: from the ledger's entries and the state of the disk."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Protocol

from checkpointd.ledger import State
from checkpointd.retention.files import is_shared, sameness_of
from checkpointd.retention.plan import RetentionPlan, plan
from checkpointd.retention.reference_index import ReferenceIndex
from checkpointd.retention.trees import Sameness
from checkpointd.retention.writers import OpenFiles

if TYPE_CHECKING:
    from checkpointd.config import WatchSettings
    from checkpointd.ledger import DepartedCheckpoint, Entry


class PlanningLedger(Protocol):
    """What planning needs of the ledger; `checkpointd.ledger.Ledger` is one."""

    def entries(self, watch: str | None = None) -> list[Entry]:
        """Everything that is known of a watch."""
        ...

    def departed(self, watch: str) -> list[DepartedCheckpoint]:
        """What was known of a watch and is gone or in the trash."""
        ...

    def unconfirmed(self, watch: str) -> bool:
        """Whether the ledger was lost, and not all has been verified again."""
        ...


def reference_index(watch: WatchSettings) -> ReferenceIndex:
    """The references to checkpoints of a watch, from its root and its `latest-valid` links."""
    return ReferenceIndex(str(watch.path), str(watch.link_directory or ""))


def plan_watch(
    ledger: PlanningLedger,
    watch: WatchSettings,
    now: float,
    problem: str = "",
    index: ReferenceIndex | None = None,
    *,
    may_remove_runs: bool = False,
) -> RetentionPlan:
    """Plan the retention of one watch.

    Args:
        ledger: the ledger.
        watch: the watch; its root is searched for references, and the targets of its
            `latest-valid` links count as referenced. Valid checkpoints are compared with the disk:
            one that is not as it was verified fills no slot (`RetentionPlan.suspects`), nor does
            one of which a file was replaced or touched, until its content has been compared.
        now: seconds since the epoch.
        problem: why the watch is not available, if it is not; then nothing is removed.
        index: searches the root for references, and can then be used for carrying the plan out.
        may_remove_runs: whether a person has agreed that whole runs are removed.
    """
    references = (index or reference_index(watch)).sweep()
    entries = ledger.entries(watch.name)
    on_disk = {
        e.path: sameness_of(e.path, e.checkpoint, e.generation)
        for e in entries
        if e.state is State.VALID
    }
    planned = partial(
        plan,
        entries,
        watch.retention,
        now,
        references.paths,
        changed=frozenset(path for path, same in on_disk.items() if same is None),
        touched=frozenset(path for path, same in on_disk.items() if same is Sameness.CONTENT),
        shared=frozenset(e.path for e in entries if is_shared(e.path, e.checkpoint, e.generation)),
        listing=" ".join([problem, *references.errors]).strip(),
        rebuilt=ledger.unconfirmed(watch.name),
        departed=ledger.departed(watch.name),
        may_remove_runs=may_remove_runs,
    )
    first = planned()
    leaving = [decision.entry for decision in first.removals]
    open_files = OpenFiles.of(leaving)
    written = frozenset(e.path for e in leaving if open_files.is_written(e))
    return planned(written=written) if written else first
