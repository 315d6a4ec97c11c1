"""What the removals of one round share; thread-safe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.retention.eligibility import is_eligible
from checkpointd.retention.writers import OpenFiles
from checkpointd.retention_rules.table import KEEP_RUNS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.ledger import Entry
    from checkpointd.retention.plan import RetentionPlan
    from checkpointd.retention.reference_index import ReferenceIndex


class PruningRound:
    """What carrying out one plan shares: the references, the open files, and what is being moved.

    Args:
        plan: what is carried out.
        references: those below the root.
    """

    def __init__(self, plan: RetentionPlan, references: ReferenceIndex) -> None:
        self.policy = plan.policy
        self.references = references
        self.open_files = OpenFiles.of([d.entry for d in plan.removals])
        self._leaving: set[int] = set()
        self._runs = {d.entry.id: d.run for d in plan.decisions}
        self._others: dict[tuple[str, str], list[Entry]] = {}
        self._kept_runs = set[tuple[str, str, int]]()
        for decision in sorted(plan.decisions, key=lambda d: not d.keep):
            entry = decision.entry
            series = entry.checkpoint.watch, entry.checkpoint.series
            if is_eligible(entry, plan.policy):
                self._others.setdefault(series, []).append(entry)
        for decision in plan.removals:
            if decision.rule != KEEP_RUNS:
                checkpoint = decision.entry.checkpoint
                self._kept_runs.add((checkpoint.watch, checkpoint.series, decision.run))

    def begin(self, entry: Entry) -> None:
        """From now on the checkpoint is not one of those that stay."""
        self._leaving.add(entry.id)

    def cancel(self, entry: Entry) -> None:
        """The checkpoint stays after all."""
        self._leaving.discard(entry.id)

    def others(self, entry: Entry) -> Iterator[Entry]:
        """The valid ones of the same run that are not being removed, kept ones first.

        Of the other runs if the whole run is removed.
        """
        series = entry.checkpoint.watch, entry.checkpoint.series
        run = self._runs[entry.id]
        is_kept = (*series, run) in self._kept_runs
        return (
            e
            for e in self._others.get(series, ())
            if e.id not in self._leaving and (self._runs[e.id] == run) is is_kept
        )
