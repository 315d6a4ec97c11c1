"""What a policy decides about one series: rules, floor and doubts, for each run by itself. Pure.

A rule sees a run twice: by age, and in the order in which its checkpoints were first seen. What it
claims either way stays. So nothing is removed but for ones that are newer and were seen later.
"""

from __future__ import annotations

from itertools import groupby, islice
from typing import TYPE_CHECKING

from checkpointd.ledger import State
from checkpointd.retention.decision import Decision
from checkpointd.retention.eligibility import is_broken_checkpoint, saved_checkpoint
from checkpointd.retention.limits import NO_RULE, yields
from checkpointd.retention.protections import (
    DOUBTS_IN_STATE,
    PROTECTIONS,
    Situation,
    StateOnDisk,
    rows_for,
)
from checkpointd.retention.references import alone_in_named
from checkpointd.retention_rules import Effect, Measuring
from checkpointd.retention_rules.best import KeepBest
from checkpointd.retention_rules.latest import KeepLast
from checkpointd.retention_rules.table import (
    KEEP_RUNS,
    SIZE,
    UNCLAIMED,
    names_outranking_age,
    rules_of,
)
from checkpointd.retention_rules.tags import KeepTags

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from checkpointd.config import RetentionSettings
    from checkpointd.ledger import Ages, Entry
    from checkpointd.retention.holds import Hold
    from checkpointd.retention.protections import Protection
    from checkpointd.retention.series_order import SeriesOrder
    from checkpointd.retention_rules import Obstacle, Rule, SavedCheckpoint

    Claims = list[tuple[str, dict[int, str]]]
    """The reasons of each rule by checkpoint, with the rule's name."""


_MOST_REASONS = 10_000
_IF_STARTED_AGAIN = ", if a job was started again while its clock was behind"


class PolicyRules:
    """The rules of a policy by what they do."""

    def __init__(self, policy: RetentionSettings) -> None:
        self.policy = policy
        self.keep = rules_of(policy, Effect.KEEP)
        self.expire = rules_of(policy, Effect.EXPIRE)
        self.remove_invalid = rules_of(policy, Effect.REMOVE_INVALID)
        self.keep_names = ", ".join(dict.fromkeys(rule.name for rule in self.keep))
        self.unclaimed = (f"it is valid, and not kept by {self.keep_names}",)
        sized = [SIZE] if policy.max_total_bytes is not None else []
        self.removing_names = " and ".join([*(rule.name for rule in self.expire), *sized])
        counts = [r.n for r in self.keep if isinstance(r, KeepLast | KeepBest)]
        self.asked = max(policy.keep_min_valid, *counts, 1)
        """How many checkpoints a run must have before older ones may be removed for it."""
        self._reasons: dict[tuple[str, ...], tuple[str, ...]] = {}

    def shared(self, reasons: tuple[str, ...]) -> tuple[str, ...]:
        """The same reasons, in memory once: very many checkpoints may have the same ones."""
        if len(self._reasons) > _MOST_REASONS:
            self._reasons.clear()
        return self._reasons.setdefault(reasons, reasons)

    def obstacles(self, newest_first: Sequence[SavedCheckpoint]) -> tuple[Obstacle, ...]:
        """Why rules that keep cannot be evaluated for a series."""
        sentences = (r.obstacle(newest_first) for r in self.keep if isinstance(r, Measuring))
        return tuple(obstacle for obstacle in sentences if obstacle is not None)

    def watch_obstacles(self, entries: Iterable[Entry]) -> tuple[Obstacle, ...]:
        """Why rules that keep cannot be evaluated for any series of a watch."""
        by_tags = [rule for rule in self.keep if isinstance(rule, KeepTags)]
        carried = {entry.tags for entry in entries} if by_tags else set()
        sentences = (rule.unmatched(carried) for rule in by_tags)
        return tuple(obstacle for obstacle in sentences if obstacle is not None)


class SeriesPlanner:
    """One series under one policy.

    Args:
        order: the series.
        saved: what rules see of those that may fill a slot, newest first, by id.
        rules: those of the policy.
        now: seconds since the epoch.
        ages: how old stored times are.
        on_disk: what was found on disk.
        holds: why nothing of the series may be removed.
        served: the ids of those that TensorFlow Serving takes.
    """

    def __init__(
        self,
        order: SeriesOrder,
        saved: dict[int, SavedCheckpoint],
        rules: PolicyRules,
        now: float,
        ages: Ages,
        on_disk: StateOnDisk,
        holds: tuple[Hold, ...],
        served: frozenset[int],
    ) -> None:
        self._order = order
        policy = self._policy = rules.policy
        self._holds = holds
        self._saved = saved
        self._rules = rules
        eligible = [e for e in order.newest_first if e.id in saved]
        broken = [
            saved_checkpoint(e, now, ages)
            for e in (order.newest_first if rules.remove_invalid else ())
            if is_broken_checkpoint(e)
        ]
        self._expire = _claims(rules.expire, list(saved.values()), now)
        self._expired = frozenset(i for _, claimed in self._expire for i in claimed)
        self._remove = _claims(rules.remove_invalid, broken, now)
        self._keep: Claims = [(rule.name, {}) for rule in rules.keep]
        outranking = names_outranking_age()
        self._keep_old = [one for one in self._keep if one[0] in outranking]
        self._keep_young = [one for one in self._keep if one[0] not in outranking]
        self._floor: set[int] = set()
        self._older: set[int] = set()
        self._plan_runs(eligible, now)
        for other in order.other_runs[: policy.keep_runs]:
            self._claim([e for e in other if e.id in saved], now, _IF_STARTED_AGAIN)
        self._kept_by = _by_checkpoint(self._keep)
        self._kept_old_by = _by_checkpoint(self._keep_old)
        self._removed_by = _by_checkpoint([*self._expire, *self._remove])
        removable = frozenset(i for _, claimed in self._remove for i in claimed)
        alone = alone_in_named(order.newest_first, on_disk.references)
        self._situation = Situation(
            policy, ages, on_disk, order.newest_by(), removable, order.doubts, alone, served, saved
        )
        self._protections = rows_for(self._situation, PROTECTIONS)
        self._doubts: dict[State, tuple[Protection, ...]] = {}

    def _doubts_in(self, state: State) -> tuple[Protection, ...]:
        if state not in self._doubts:
            self._doubts[state] = rows_for(self._situation, DOUBTS_IN_STATE[state])
        return self._doubts[state]

    def decide(self) -> list[Decision]:
        """The decision about each checkpoint, newest first."""
        return [self._decide(entry) for entry in self._order.newest_first]

    def _plan_runs(self, eligible: Sequence[Entry], now: float) -> None:
        """Have the rules claim in each run; find the runs that are too old to be kept at all."""
        run = self._order.run
        by_run = {n: list(group) for n, group in groupby(eligible, key=lambda e: run[e.id])}
        kept = {n: self._claim(entries, now) for n, entries in by_run.items()}
        if len(kept) <= self._policy.keep_runs:
            return
        staying = _ids(self._keep_old) - _ids(self._keep_young)
        newer: list[int] = []
        for n, entries in by_run.items():
            enough = max(self._rules.asked, len(kept[n] - staying))
            earned = [m for m in newer if len(kept[m]) >= enough][: self._policy.keep_runs]
            if len(earned) == self._policy.keep_runs:
                # Only what was seen before all that the newer runs have to show for themselves.
                limit = min(_nth_last_seen(by_run[m], enough) for m in earned)
                self._older.update(e.id for e in entries if e.sequence < limit)
            newer.append(n)

    def _claim(self, run: list[Entry], now: float, condition: str = "") -> set[int]:
        """Have the rules claim in one run, fill its floor, and return what is kept of it.

        Under a `condition` they add to what they have claimed without it.
        """
        seen = [e.sequence for e in run]
        if seen == sorted(seen, reverse=True):
            views = [run]
        else:
            views = [self._order.by_first_seen(run), run]
        kept: set[int] = set()
        for view in views:
            checkpoints = [self._saved[e.id] for e in view]
            for (_, claims), (_, found) in zip(
                self._keep, _claims(self._rules.keep, checkpoints, now), strict=True
            ):
                claims.update(
                    {i: why + condition for i, why in found.items() if i not in claims}
                    if condition
                    else found
                )
                kept.update(found)
        kept = kept if self._rules.keep else {e.id for e in run}
        kept -= self._expired
        missing = max(0, self._policy.keep_min_valid - len(kept))
        floor: set[int] = set()
        for view in views:
            floor.update(islice((e.id for e in view if e.id not in kept), missing))
        self._floor |= floor
        return kept | floor

    def _decide(self, entry: Entry) -> Decision:
        run = self._order.run[entry.id]
        reasons = self._reasons_to_keep(entry)
        if reasons:
            texts = self._rules.shared(tuple(text for _, text in reasons))
            may_go = not self._holds and yields(label for label, _ in reasons)
            rule = reasons[0][0]
            return Decision(entry, keep=True, reasons=texts, rule=rule, yields=may_go, run=run)
        if self._holds:
            texts = tuple(f"pruning of this series is on hold: {h.message}" for h in self._holds)
            return Decision(entry, keep=True, reasons=texts, rule="hold", run=run)
        if entry.id in self._older and self._rules.keep_names:
            n = self._policy.keep_runs
            reason = f"its run is older than the newest {n} (keep_runs = {n})"
            return Decision(entry, keep=False, reasons=(reason,), rule=KEEP_RUNS, run=run)
        for rule, reason in self._removed_by.get(entry.id, ()):
            return Decision(entry, keep=False, reasons=(reason,), rule=rule, run=run)
        unclaimed = self._rules.unclaimed
        return Decision(entry, keep=False, reasons=unclaimed, rule=UNCLAIMED, run=run)

    def _reasons_to_keep(self, entry: Entry) -> list[tuple[str, str]]:
        reasons = self._protected(entry, self._protections)
        is_older = entry.id in self._older
        is_too_old = is_older or entry.id in self._expired
        reasons += (self._kept_old_by if is_too_old else self._kept_by).get(entry.id, ())
        if entry.id in self._floor and not is_older:
            n = self._policy.keep_min_valid
            text = f"at least {n} valid ones always stay (keep_min_valid)"
            reasons.append(("keep_min_valid", text))
        reasons += self._protected(entry, self._doubts_in(entry.state))
        if (
            not self._rules.keep_names
            and entry.state is State.VALID
            and entry.id not in self._expired
        ):
            names = self._rules.removing_names
            text = f"no keep_ rule is configured, and {names} does not remove it yet"
            reasons.append((NO_RULE, text))
        return reasons

    def _protected(self, entry: Entry, rows: tuple[Protection, ...]) -> list[tuple[str, str]]:
        reasons = []
        for row in rows:
            reason = row.reason(entry, self._situation)
            if reason:
                reasons.append((row.label, reason))
        return reasons


def _nth_last_seen(entries: Sequence[Entry], n: int) -> int:
    """The place in the order of being seen of the one that was seen `n`-th last."""
    return sorted((e.sequence for e in entries), reverse=True)[n - 1]


def _ids(claims: Claims) -> set[int]:
    """Everything that is claimed."""
    return {identity for _, claimed in claims for identity in claimed}


def _claims(rules: Sequence[Rule], checkpoints: Sequence[SavedCheckpoint], now: float) -> Claims:
    return [(rule.name, dict(rule.claim(checkpoints, now))) for rule in rules]


def _by_checkpoint(claims: Claims) -> dict[int, list[tuple[str, str]]]:
    """The rules that claim each checkpoint, in their order, each with its reason."""
    reasons: dict[int, list[tuple[str, str]]] = {}
    for name, claimed in claims:
        for identity, reason in claimed.items():
            reasons.setdefault(identity, []).append((name, reason))
    return reasons
