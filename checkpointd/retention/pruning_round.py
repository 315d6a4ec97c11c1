"""What the removals of one round share; thread-safe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from checkpointd.core.format_specs import Format
from checkpointd.retention.eligibility import is_eligible
from checkpointd.retention.groups import group_of
from checkpointd.retention.open_files import OpenFiles
from checkpointd.retention.references import alone_in_named
from checkpointd.retention_rules.table import KEEP_RUNS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.ledger import Entry
    from checkpointd.retention.planning import RetentionPlan
    from checkpointd.retention.pruning_ledger import PruningLedger
    from checkpointd.retention.references import References


class ReferenceSource(Protocol):
    """Finds what refers to checkpoints; `ReferenceIndex` is one."""

    def sweep(self) -> References:
        """Return everything that is referred to now."""
        ...

    def near(self, directory: str) -> References:
        """The same, exact for the state files of one directory."""
        ...


class PruningRound:
    """What carrying out one plan shares: the references, the open files, and what is being moved.

    Args:
        plan: what is carried out.
        references: those below the root.
        policy_changed: whether this is the first round of another policy.
    """

    def __init__(
        self,
        plan: RetentionPlan,
        references: ReferenceSource,
        *,
        policy_changed: bool = False,
    ) -> None:
        self.policy = plan.policy
        self.policy_changed = policy_changed
        self.references = references
        self._ledger = ""
        self.open_files = OpenFiles.of([d.entry for d in plan.removals])
        self._leaving: set[int] = set()
        self._series: dict[tuple[str, str], list[Entry]] = {}
        self._others: dict[tuple[str, str], list[Entry]] = {}
        self._runs = {d.entry.id: d.run for d in plan.decisions}
        self._shrinking_runs = set[tuple[str, str, int]]()
        self._alone: dict[tuple[str, str], tuple[frozenset[str], frozenset[int]]] = {}
        for decision in sorted(plan.decisions, key=lambda d: not d.keep):
            entry = decision.entry
            series = group_of(entry.checkpoint, plan.policy.group_by)
            self._series.setdefault(series, []).append(entry)
            if is_eligible(entry, plan.policy):
                self._others.setdefault(series, []).append(entry)
            if not decision.keep and decision.rule != KEEP_RUNS:
                self._shrinking_runs.add((*series, decision.run))

    def ledger_identity(self, records: PruningLedger) -> str:
        """The identity of the ledger, which stands in the manifest of all that is moved.

        Raises:
            LedgerError: it cannot be read.
        """
        self._ledger = self._ledger or records.identity
        return self._ledger

    def begin(self, entry: Entry) -> None:
        """Stop counting a checkpoint among those that stay."""
        self._leaving.add(entry.id)

    def cancel(self, entry: Entry) -> None:
        """Count the checkpoint among those that stay again."""
        self._leaving.discard(entry.id)

    def why_in_use(self, entry: Entry, references: References) -> str:
        """Why a checkpoint is in use by what refers to it now; empty if it is not."""
        if references.link_errors:
            return f"a directory of `links` cannot be searched: {references.link_errors[0]}"
        if references.is_named(entry) or entry.id in self._alone_in_named(entry, references):
            return "a `checkpoint` state file, a config or a symbolic link names it now"
        if references.is_listed(entry) and not self.policy.prune_listed:
            return "its job's `checkpoint` state file lists it now"
        unreadable = references.unreadable_for(entry.path)
        if unreadable is not None and entry.checkpoint.format is Format.TF_CHECKPOINT:
            return f"the state file {unreadable.path!r} cannot be read: {unreadable.reason}"
        return ""

    def _alone_in_named(self, entry: Entry, references: References) -> frozenset[int]:
        """Those of its series that are the only one in a directory that is named now: their ids."""
        series = group_of(entry.checkpoint, self.policy.group_by)
        paths, alone = self._alone.get(series, (None, frozenset[int]()))
        if paths != references.paths:
            alone = alone_in_named(self._series[series], references)
            self._alone[series] = references.paths, alone
        return alone

    def others(self, entry: Entry) -> Iterator[Entry]:
        """The valid ones of the same run that are not being removed, kept ones first.

        Of the other runs if the whole run is removed.
        """
        series = group_of(entry.checkpoint, self.policy.group_by)
        run = self._runs[entry.id]
        stays = (*series, run) in self._shrinking_runs
        return (
            e
            for e in self._others.get(series, ())
            if e.id not in self._leaving and (self._runs[e.id] == run) is stays
        )
