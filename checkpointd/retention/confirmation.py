"""Whether a plan may be carried out, or waits until a person has confirmed it.

A policy removes what is saved while it is in force. What was there before it came is removed only
once a person has confirmed the policy with `prune --apply`: at the first enforcement, and after a
change that keeps less. Many removals at once wait as well, whatever policy decided them.

`decide` is pure; `confirm_plan` reads and writes the ledger.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Protocol

from checkpointd.ledger import AcceptedPolicy, PolicyRecords
from checkpointd.retention.groups import group_of
from checkpointd.retention.holds import Hold
from checkpointd.retention.policy import policy_text
from checkpointd.retention.policy_change import keeps_no_less
from checkpointd.retention.summary import leaves, leaving, summarize
from checkpointd.retention_rules.table import KEEP_RUNS

if TYPE_CHECKING:
    from checkpointd.config import RetentionSettings, WatchSettings
    from checkpointd.retention.decision import Decision
    from checkpointd.retention.planning import RetentionPlan

NOT_CONFIRMED = "not_confirmed"
MANY_REMOVALS = "many_removals"
_MOST_SHOWN = 100_000
_CURE = (
    "Look at `checkpointd prune {0}`, then confirm with `checkpointd prune {0} --apply`; "
    '`confirm = "never"` in [watch.retention] ends such holds.'
)
CONFIRMATION_HOLDS = {
    NOT_CONFIRMED: _CURE.format("WATCH"),
    MANY_REMOVALS: _CURE.format("WATCH"),
}
"""The cure of each hold that waits for a person, for the manual."""


class ConfirmationLedger(Protocol):
    """What is needed of the ledger; `checkpointd.ledger.Ledger` is one."""

    def policy_records(self, watch: str) -> PolicyRecords:
        """Which policies were accepted for a watch."""
        ...

    def last_sequence(self) -> int:
        """The sequence of the generation that was seen last."""
        ...


class WritableConfirmationLedger(ConfirmationLedger, Protocol):
    """A `ConfirmationLedger` that can be written."""

    def record_policies(self, watch: str, records: PolicyRecords) -> None:
        """Record which policies are accepted for a watch."""
        ...


@dataclass(frozen=True)
class Permission:
    """The holds for which a plan waits, and what is to be recorded about its policy."""

    holds: tuple[Hold, ...]
    records: PolicyRecords


def decide(
    watch: WatchSettings, plan: RetentionPlan, records: PolicyRecords, last: int, now: float
) -> Permission:
    """Whether a plan of the daemon may be carried out.

    Args:
        watch: the watch.
        plan: what would be done.
        records: the policies that were accepted for the watch.
        last: the sequence of the generation that was seen last.
        now: seconds since the epoch.
    """
    policy, records = watch.retention, _updated(policy_text(watch), records, last, now)
    if policy.confirm == "never":
        accepted = records.waiting or records.accepted
        return Permission((), PolicyRecords(accepted, None, records.dropped))
    current = records.waiting or records.accepted
    holds = []
    if current is not None and _touches_older(plan, current):
        holds.append(_not_confirmed(watch.name, plan, is_first=records.accepted == current))
    elif records.waiting is not None and plan.removals:
        records = PolicyRecords(records.waiting, None, records.dropped)
    shown = frozenset(current.shown if current is not None else ())
    unseen = sum(d.entry.sequence not in shown for d in plan.removals)
    if not holds and exceeds(unseen, len(plan.decisions), policy):
        holds.append(_many_removals(watch.name, plan))
    return Permission(tuple(holds), records)


def confirmed(
    watch: WatchSettings, plan: RetentionPlan, now: float, before: PolicyRecords
) -> PolicyRecords:
    """What is recorded when a person has the plan of a watch carried out.

    Args:
        watch: the watch.
        plan: what is carried out; whole runs are removed in it (`keep_runs`).
        now: seconds since the epoch.
        before: what was recorded before.
    """
    delayed = (d.entry.sequence for d in plan.decisions if d.keep and leaves(d))
    shown = tuple(islice(delayed, _MOST_SHOWN))
    there = {(d.entry.id, d.entry.sequence) for d in plan.decisions}
    dropped = (before.dropped & there) | dropped_runs(plan)
    return PolicyRecords(AcceptedPolicy(policy_text(watch), None, now, shown), None, dropped)


def dropped_runs(plan: RetentionPlan) -> frozenset[tuple[int, int]]:
    """All checkpoints of the runs of which a plan removes some because the run is too old.

    What still protects one of them may end later, and nobody is asked about that run again.
    """
    by_run: dict[tuple[str, str, int], list[Decision]] = {}
    for decision in plan.decisions:
        group = group_of(decision.entry.checkpoint, plan.policy.group_by)
        by_run.setdefault((*group, decision.run), []).append(decision)
    return frozenset(
        (d.entry.id, d.entry.sequence)
        for run in by_run.values()
        if any(not d.keep and d.rule == KEEP_RUNS for d in run)
        for d in run
    )


def confirm_plan(
    ledger: ConfirmationLedger, watch: WatchSettings, plan: RetentionPlan
) -> RetentionPlan:
    """The plan, with why it waits for a person; nothing is recorded."""
    return _confirm(ledger, watch, plan)[0]


def confirm_and_record(
    ledger: WritableConfirmationLedger, watch: WatchSettings, plan: RetentionPlan
) -> RetentionPlan:
    """The plan, with why it waits for a person; which policy is in force is recorded.

    Raises:
        LedgerError: the ledger cannot be read or written.
    """
    plan, before, after = _confirm(ledger, watch, plan)
    if after != before:
        ledger.record_policies(watch.name, after)
    return plan


def _confirm(
    ledger: ConfirmationLedger, watch: WatchSettings, plan: RetentionPlan
) -> tuple[RetentionPlan, PolicyRecords, PolicyRecords]:
    before = ledger.policy_records(watch.name)
    if watch.retention.mode != "enforce":
        return plan, before, before
    permission = decide(watch, plan, before, ledger.last_sequence(), time.time())
    return replace(plan, unconfirmed=permission.holds), before, permission.records


def exceeds(count: int, of: int, policy: RetentionSettings) -> bool:
    """Whether a person has to confirm `count` removals of `of` checkpoints at once."""
    return count > policy.max_removals and count * 100 > policy.max_removals_percent * of


def _updated(policy: str, records: PolicyRecords, last: int, now: float) -> PolicyRecords:
    """The records once a watch has a policy, which may be the one that it had."""
    accepted, waiting = records.accepted, records.waiting
    if accepted is None:
        return replace(records, accepted=AcceptedPolicy(policy, last, now), waiting=None)
    if accepted.policy == policy:
        return replace(records, waiting=None)
    if keeps_no_less(policy, accepted.policy):
        return replace(records, accepted=replace(accepted, policy=policy), waiting=None)
    if waiting is not None and waiting.policy == policy:
        return records
    return replace(records, waiting=AcceptedPolicy(policy, last, now))


def _touches_older(plan: RetentionPlan, policy: AcceptedPolicy) -> bool:
    """Whether something would go that was there before a policy that nobody has confirmed."""
    since = policy.since
    return since is not None and any(entry.sequence <= since for entry in leaving(plan))


def _not_confirmed(watch: str, plan: RetentionPlan, *, is_first: bool) -> Hold:
    why = "is enforced here for the first time" if is_first else "has changed"
    summary = summarize(plan)
    message = (
        f"The policy {why} and nobody has confirmed it: it would remove {summary.count} of "
        f"{summary.of}."
    )
    return Hold(watch, "", NOT_CONFIRMED, message, _CURE.format(watch))


def _many_removals(watch: str, plan: RetentionPlan) -> Hold:
    policy = plan.policy
    message = (
        f"{len(plan.removals)} of {len(plan.decisions)} would go at once, more than "
        f"max_removals = {policy.max_removals} and {policy.max_removals_percent} %."
    )
    return Hold(watch, "", MANY_REMOVALS, message, _CURE.format(watch))
