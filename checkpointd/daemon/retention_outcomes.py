"""What came of planning and pruning, for the status, the log and the metrics."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from checkpointd.daemon.retention_failures import RetentionFailures
from checkpointd.observe.series_status import NextRemoval
from checkpointd.retention.summary import leaves, preview_line, preview_text

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.observe.metrics import Metrics
    from checkpointd.retention import Hold, Removal, RetentionPlan
    from checkpointd.retention.decision import Decision

log = structlog.get_logger()


@dataclass(frozen=True)
class PlanOutcome:
    """The result of a plan, without the decision about each checkpoint.

    `line` and `text` are sentences, `would` is how many a dry run would remove, `first` the first
    of them; `digest` changes with what is logged.
    """

    holds: tuple[Hold, ...]
    line: str
    text: str
    next_removals: Mapping[str, NextRemoval]
    unmet: str
    would: int
    first: str
    digest: str

    @classmethod
    def of(cls, planned: RetentionPlan, removals: list[Removal]) -> PlanOutcome:
        """The outcome of a plan; call it in a thread, because a plan may be very large.

        Args:
            planned: the plan.
            removals: what was removed already.
        """
        planned = _not_yet_removed(planned, removals)
        holds = (*planned.holds, *planned.unconfirmed, *planned.kept_in_trash)
        would = planned.removals if planned.policy.mode == "dry-run" else ()
        digest = hashlib.sha256(
            repr([(hold.series, hold.reason) for hold in holds]).encode("utf-8", "surrogatepass")
        )
        for decision in would:
            digest.update(os.fsencode(decision.entry.path) + b"\0")
        return cls(
            holds,
            preview_line(planned),
            preview_text(planned),
            _next_removals(planned),
            planned.unmet,
            len(would),
            would[0].entry.path if would else "",
            digest.hexdigest(),
        )


class RetentionOutcomes:
    """The outcomes of the last plan of each watch, by its name.

    `holds` are what it would not prune, and why; `previews` are sentences about what it would
    remove, `refusals` about what could not be pruned, `unmet` why `max_total_bytes` cannot be met,
    `next_removals` what goes first, by series.

    Args:
        metrics: counts what is pruned.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.holds: dict[str, tuple[Hold, ...]] = {}
        self.previews: dict[str, str] = {}
        self.refusals: dict[str, str] = {}
        self.unmet: dict[str, str] = {}
        self.next_removals: dict[str, dict[str, NextRemoval]] = {}
        self.failures = RetentionFailures(metrics.prune_failed)
        self._metrics = metrics
        self._logged: dict[str, str] = {}

    def forget(self, name: str) -> None:
        """Forget a watch that is not pruned any more."""
        for state in (
            self.holds,
            self.previews,
            self.refusals,
            self.unmet,
            self.next_removals,
            self._logged,
        ):
            state.pop(name, None)
        self.failures.forget(name)

    def note_plan(self, name: str, outcome: PlanOutcome) -> None:
        """Log holds, and what a dry run would remove, once each time they change.

        Args:
            name: the watch's name.
            outcome: of its plan.
        """
        self.holds[name] = outcome.holds
        if name not in self.previews:
            log.info("retention plan", watch=name, message=outcome.text)
        self.previews[name] = outcome.line
        self.next_removals[name] = dict(outcome.next_removals)
        self.unmet.pop(name, None)
        if outcome.unmet:
            self.unmet[name] = f"Watch {name}: {outcome.unmet}"
        if outcome.digest == self._logged.get(name, ""):
            return
        self._logged[name] = outcome.digest
        for hold in outcome.holds:
            log.warning(
                "pruning on hold",
                watch=name,
                series=hold.series,
                reason=hold.reason,
                message=hold.message,
                cure=hold.cure,
            )
        if outcome.would:
            first = outcome.first
            log.info("would prune (dry-run)", watch=name, count=outcome.would, first=first)

    def note_refusals(self, name: str, removals: list[Removal]) -> None:
        """Keep refused removals among the daemon's problems until they succeed."""
        self.failures.note_removals(name, removals)
        refused = [r for r in removals if not r.done]
        self.refusals.pop(name, None)
        if refused:
            self.refusals[name] = (
                f"Watch {name}: {len(refused)} of {len(removals)} could not be pruned; "
                f"{refused[0].entry.path}: {refused[0].reason.rstrip('.')}."
            )

    def note_removals(self, name: str, removals: list[Removal]) -> None:
        """Count and log what was removed."""
        for removal in removals:
            if not removal.done:
                continue
            self._metrics.pruned(name, removal.rule, removal.size_bytes)
            path, reason = removal.entry.path, removal.reason
            log.info("pruned", watch=name, path=path, rule=removal.rule, reason=reason)


def _next_removals(planned: RetentionPlan) -> dict[str, NextRemoval]:
    """What goes first in each series, and how much goes in all."""
    by_series: dict[str, list[Decision]] = {}
    for decision in planned.decisions:
        if leaves(decision):
            by_series.setdefault(decision.entry.checkpoint.series, []).append(decision)
    removals = {}
    for series, decisions in by_series.items():
        first = min(decisions, key=lambda d: (d.entry.saved_at, d.entry.id))
        removals[series] = NextRemoval(
            id=first.entry.id,
            path=first.entry.path,
            step=first.entry.step,
            saved_at=first.entry.saved_at,
            count=len(decisions),
            size_bytes=sum(d.entry.generation.size_bytes for d in decisions),
            is_delayed=first.keep,
            reason=first.reasons[0] if first.reasons else "",
        )
    return removals


def _not_yet_removed(planned: RetentionPlan, removals: list[Removal]) -> RetentionPlan:
    """The plan without what has been removed."""
    if not removals:
        return planned
    done = {removal.entry.id for removal in removals if removal.done}
    return replace(planned, decisions=tuple(d for d in planned.decisions if d.entry.id not in done))
