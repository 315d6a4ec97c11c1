"""The summary of a plan in one line: how many would be removed, their size, oldest and newest."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkpointd.core.text import exact_duration, iso, size
from checkpointd.ledger import State
from checkpointd.retention.holds import NUMBERS_UNREAD

if TYPE_CHECKING:
    from checkpointd.ledger import Entry
    from checkpointd.retention.decision import Decision
    from checkpointd.retention.planning import RetentionPlan

_NOT_YET = "min_age"
_UNUSABLE = "trash_unusable"
_WITHOUT_VERDICT = frozenset({State.PENDING, State.WRITING, State.SUPERSEDED})


@dataclass(frozen=True)
class PlanSummary:
    """The removals of one plan, those that only `min_age` delays included.

    `delayed` of `count` wait for `min_age` (seconds), `without_verdict` are not decided yet.
    """

    count: int = 0
    of: int = 0
    size_bytes: int = 0
    delayed: int = 0
    min_age: float = 0.0
    without_verdict: int = 0
    oldest: str = ""
    oldest_at: float = 0.0
    newest: str = ""
    newest_at: float = 0.0

    @property
    def text(self) -> str:
        """The line, without a full stop."""
        if not self.count:
            sentence = f"nothing of {self.of}" if self.of else "nothing: no checkpoint is known yet"
        else:
            sentence = f"{self.count} of {self.of} ({size(self.size_bytes)}), {self._span}"
        if self.delayed:
            subject = "all" if self.delayed == self.count else str(self.delayed)
            sentence += f"; {subject} of them once {exact_duration(self.min_age)} old (min_age)"
        if self.without_verdict:
            verb = "has" if self.without_verdict == 1 else "have"
            sentence += f"; {self.without_verdict} {verb} no verdict yet"
        return sentence

    @property
    def _span(self) -> str:
        oldest = f"{os.path.basename(self.oldest)} of {iso(self.oldest_at)}"
        if self.count == 1:
            return oldest
        return f"oldest {oldest}, newest {os.path.basename(self.newest)} of {iso(self.newest_at)}"

    def to_public(self) -> dict[str, Any]:
        """The object in JSON."""
        return {
            "count": self.count,
            "of": self.of,
            "size_bytes": self.size_bytes,
            "delayed": self.delayed,
            "without_verdict": self.without_verdict,
            "oldest": {"path": self.oldest, "saved_at": self.oldest_at} if self.count else None,
            "newest": {"path": self.newest, "saved_at": self.newest_at} if self.count else None,
            "text": self.text,
        }


def leaves(decision: Decision) -> bool:
    """Whether a checkpoint is to be removed, now or once it is old enough."""
    return not decision.keep or decision.rule == _NOT_YET


def leaving(plan: RetentionPlan) -> list[Entry]:
    """What a plan removes now, or once it is old enough; oldest first."""
    entries = [d.entry for d in plan.decisions if leaves(d)]
    return sorted(entries, key=lambda e: (e.saved_at, e.id))


def summarize(plan: RetentionPlan) -> PlanSummary:
    """Summarise a plan."""
    entries = leaving(plan)
    first, last = (entries[0], entries[-1]) if entries else (None, None)
    return PlanSummary(
        count=len(entries),
        of=len(plan.decisions),
        size_bytes=sum(e.generation.size_bytes for e in entries),
        delayed=sum(d.keep and d.rule == _NOT_YET for d in plan.decisions),
        min_age=plan.policy.min_age,
        without_verdict=sum(d.entry.state in _WITHOUT_VERDICT for d in plan.decisions),
        oldest=first.path if first else "",
        oldest_at=first.saved_at if first else 0.0,
        newest=last.path if last else "",
        newest_at=last.saved_at if last else 0.0,
    )


def preview_line(plan: RetentionPlan) -> str:
    """What the policy of a watch would now do, and what it can never remove, in sentences."""
    policy = plan.policy
    if policy.mode == "off":
        return "Pruning is off."
    if not policy.has_rules:
        return "Everything is kept, because no rule is set."
    summary = summarize(plan)
    removes = policy.mode == "enforce" and summary.count and not plan.unconfirmed
    verb = "removes" if removes else "would remove"
    return " ".join((f"{policy.mode}: {verb} {summary.text}.", *plan.notes))


def preview_text(plan: RetentionPlan) -> str:
    """The same, and why it waits or is on hold if it is."""
    line = preview_line(plan)
    for kept in plan.kept_in_trash:
        line = f"{line} On hold ({kept.reason}): {kept.message} {kept.cure}"
    if plan.unconfirmed:
        first = plan.unconfirmed[0]
        why = f"{first.message} " if first.reason == _UNUSABLE else ""
        line = f"{line} On hold ({first.reason}): {why}{first.cure}"
    holds = [hold for hold in plan.holds if hold.reason != NUMBERS_UNREAD.reason]
    if holds:
        reasons = list(dict.fromkeys(hold.reason for hold in holds))
        count = len({hold.series for hold in holds})
        line += f" {count} series {'is' if count == 1 else 'are'} on hold"
        if len(reasons) > 1:
            line += f": {', '.join(reasons)}."
        else:
            line += f" ({reasons[0]}): {holds[0].message} {holds[0].cure}"
    for hold in plan.holds:
        if hold.reason == NUMBERS_UNREAD.reason:
            line += f" On hold ({hold.reason}): {hold.message} {hold.cure}"
    return line
