"""The plan for a watch as it is now: from the ledger's entries and the state of the disk."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from checkpointd.core.evaluator import content_of
from checkpointd.ledger import State
from checkpointd.retention.evaluation import CurrentEvaluation
from checkpointd.retention.files import is_shared, sameness_of
from checkpointd.retention.limits import FileSystem
from checkpointd.retention.open_files import OpenFiles
from checkpointd.retention.planning import RetentionPlan, plan
from checkpointd.retention.reference_index import ReferenceIndex
from checkpointd.retention.replication import without_copy
from checkpointd.retention.root.inspection import RootView, view_root
from checkpointd.retention.root.records import RootReader
from checkpointd.retention.trash import Trash, place_of
from checkpointd.retention.trees import Sameness

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from checkpointd.config import WatchSettings
    from checkpointd.ledger import Ages, DepartedCheckpoint, Entry, PolicyRecords
    from checkpointd.retention.references import References
    from checkpointd.retention.root import RootDoubts


class PlanningLedger(RootReader, Protocol):
    """What planning needs of the ledger; `checkpointd.ledger.Ledger` is one."""

    def entries(self, watch: str | None = None) -> list[Entry]:
        """Everything that is known of a watch."""
        ...

    def departed(self, watch: str) -> list[DepartedCheckpoint]:
        """Checkpoints of a watch that are gone or in the trash."""
        ...

    def policy_records(self, watch: str) -> PolicyRecords:
        """Which policies, and which runs to remove, a person has agreed to."""
        ...

    def replicated(self, watch: str, destination: str) -> dict[str, float]:
        """The paths whose present content is copied to a URL, and when it was last seen there."""
        ...

    def ages(self) -> Ages:
        """How old the times in the ledger are, by a clock that nobody sets."""
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
    evaluation: CurrentEvaluation | None = None,
    root: RootDoubts | None = None,
    *,
    by_person: bool = False,
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
        root: what is doubtful about the root and the ledger; looked at here if None.
        index: searches the root for references, and can then be used for carrying the plan out.
        evaluation: how `evaluate` measures checkpoints now; without it, as far as the settings
            of the watch show it.
        by_person: whether a person has the plan carried out, whole runs included (`keep_runs`).
    """
    references = (index or reference_index(watch)).sweep()
    view = RootView(root) if root else view_root(watch.name, place_of(watch), ledger)
    entries = view.marked(ledger.entries(watch.name))
    changed, touched = set[str](), set[str]()
    for e in entries:
        if e.state is State.VALID:
            same = sameness_of(e.path, e.checkpoint, e.generation)
            if same is not Sameness.TOUCHED:
                (changed if same is None else touched).add(e.path)
    shared = (e.path for e in entries if is_shared(e.path, e.checkpoint, e.generation))
    seen = DiskDifferences(frozenset(changed), frozenset(touched), frozenset(shared))
    planned = partial(
        plan_entries,
        ledger,
        watch,
        now,
        entries,
        references,
        seen,
        view.doubts,
        problem=problem,
        evaluation=evaluation,
        by_person=by_person,
        filesystem=_filesystem(watch),
    )
    first = planned()
    leaving = [decision.entry for decision in first.removals]
    open_files = OpenFiles.of(leaving)
    uses = {e.path: open_files.use_of_entry(e) for e in leaving}
    used = {path: use.value for path, use in uses.items() if use is not None}
    return planned(in_use=used) if used else first


@dataclass(frozen=True)
class DiskDifferences:
    """Paths of checkpoints whose files are not as they were verified; see `plan`."""

    changed: frozenset[str] = frozenset()
    touched: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()


def plan_entries(
    ledger: PlanningLedger,
    watch: WatchSettings,
    now: float,
    entries: Iterable[Entry],
    references: References,
    differences: DiskDifferences,
    doubts: RootDoubts,
    *,
    problem: str = "",
    evaluation: CurrentEvaluation | None = None,
    by_person: bool = False,
    filesystem: FileSystem | None = None,
    in_use: Mapping[str, str] = MappingProxyType({}),
) -> RetentionPlan:
    """Plan what was found of a watch, on a disk or in a bucket; see `plan_watch` and `plan`."""
    entries = list(entries)
    return plan(
        entries,
        watch.retention,
        now,
        references,
        changed=differences.changed,
        touched=differences.touched,
        shared=differences.shared,
        in_use=in_use,
        without_copy=without_copy(ledger, watch, entries),
        listing=" ".join([problem, *references.errors]).strip(),
        root=doubts,
        evaluation=evaluation or _evaluation_of(watch),
        ages=ledger.ages(),
        departed=ledger.departed(watch.name),
        may_remove_runs=by_person or watch.retention.confirm == "never",
        dropped=ledger.policy_records(watch.name).dropped,
        filesystem=filesystem,
        templates=watch.version,
    )


def _evaluation_of(watch: WatchSettings) -> CurrentEvaluation:
    """How checkpoints of a watch would be evaluated now."""
    settings = watch.verify.to_settings()
    with contextlib.suppress(OSError):
        content = content_of(settings.evaluate, settings.python_path)
        settings = replace(settings, evaluate=replace(settings.evaluate, content=content))
    return CurrentEvaluation.of(settings)


def _filesystem(watch: WatchSettings) -> FileSystem | None:
    """How full the file system of a watch is; None if nobody asks or that is not known."""
    if watch.retention.prune_defer is None:
        return None
    root = str(watch.path)
    try:
        usage = shutil.disk_usage(root)
        return FileSystem(usage.used, usage.free, Trash(root).bytes())
    except OSError:
        return None
