"""What the removals of one round share; thread-safe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format
from checkpointd.retention.eligibility import is_eligible
from checkpointd.retention.newest_valid import by_series
from checkpointd.retention.open_files import OpenFiles
from checkpointd.retention.references import alone_in_named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.ledger import Entry
    from checkpointd.retention.plan import RetentionPlan
    from checkpointd.retention.reference_index import ReferenceIndex
    from checkpointd.retention.references import References


class PruningRound:
    """What carrying out one plan shares: the references, the open files, and what is being moved.

    Args:
        plan: what is carried out.
        references: those below the root.
        policy_changed: whether this is the first round of another policy.
    """

    def __init__(
        self, plan: RetentionPlan, references: ReferenceIndex, *, policy_changed: bool = False
    ) -> None:
        self.policy = plan.policy
        self.policy_changed = policy_changed
        self.references = references
        self.open_files = OpenFiles.of([d.entry for d in plan.removals])
        self._leaving: set[int] = set()
        kept = {d.entry.id for d in plan.kept}
        self._series = by_series(d.entry for d in plan.decisions)
        self._others = {
            series: sorted(
                (e for e in group if is_eligible(e, plan.policy)), key=lambda e: e.id not in kept
            )
            for series, group in self._series.items()
        }

    def begin(self, entry: Entry) -> None:
        """From now on the checkpoint is not one of those that stay."""
        self._leaving.add(entry.id)

    def cancel(self, entry: Entry) -> None:
        """The checkpoint stays after all."""
        self._leaving.discard(entry.id)

    def why_in_use(self, entry: Entry, references: References) -> str:
        """Why a checkpoint is in use by what refers to it now; empty if it is not."""
        if references.link_errors:
            return f"a directory of `links` cannot be searched: {references.link_errors[0]}"
        series = self._series[entry.checkpoint.watch, entry.checkpoint.series]
        if references.is_named(entry) or entry.id in alone_in_named(series, references):
            return "a `checkpoint` state file or a symbolic link names it now"
        if references.is_listed(entry) and not self.policy.prune_listed:
            return "its job's `checkpoint` state file lists it now"
        unreadable = references.unreadable_for(entry.path)
        if unreadable is not None and entry.checkpoint.format is Format.TF_CHECKPOINT:
            return f"the state file {unreadable.path!r} cannot be read: {unreadable.reason}"
        return ""

    def others(self, entry: Entry) -> Iterator[Entry]:
        """The valid ones of the same series that are not being removed, kept ones first."""
        series = entry.checkpoint.watch, entry.checkpoint.series
        return (e for e in self._others.get(series, ()) if e.id not in self._leaving)
