"""What a policy keeps and removes, with the reason for each. Pure: nothing is read or written.

Nothing is removed because of doubt: only valid checkpoints that have shown what `require` asks
fill a rule's slots, and only they may be removed, beside invalid ones that a rule removes.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from checkpointd.ledger import State, WallAges
from checkpointd.ledger.facts import ABSENT
from checkpointd.retention.decision import Decision
from checkpointd.retention.eligibility import is_broken_checkpoint, is_eligible, saved_checkpoint
from checkpointd.retention.evaluation import NOT_EVALUATED, unevaluated
from checkpointd.retention.holds import Hold, SeriesState, holds_of
from checkpointd.retention.limits import NO_RULE, deferred, within_size, yields
from checkpointd.retention.newest_valid import by_series
from checkpointd.retention.protections import DOUBTS_IN_STATE, PROTECTIONS, Situation, StateOnDisk
from checkpointd.retention.references import NO_REFERENCES, alone_in_named
from checkpointd.retention.root.doubts import RootDoubts
from checkpointd.retention.served import served_versions
from checkpointd.retention_rules import Effect, Measuring
from checkpointd.retention_rules.order import newest_first
from checkpointd.retention_rules.table import SIZE, UNCLAIMED, rules_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from checkpointd.config import RetentionSettings
    from checkpointd.ledger import Ages, Entry
    from checkpointd.retention.evaluation import CurrentEvaluation
    from checkpointd.retention.limits import FileSystem
    from checkpointd.retention.protections import Protection
    from checkpointd.retention.references import References
    from checkpointd.retention_rules import Obstacle, Rule, SavedCheckpoint

    Claims = list[tuple[str, Mapping[int, str]]]
    """The reasons of each rule by checkpoint, with the rule's name."""


@dataclass(frozen=True)
class RetentionPlan:
    """The decisions about every checkpoint on disk, newest first within a series, and the holds.

    `suspects` are the paths of valid ones that are not on disk as they were verified: they should
    be verified again. `unevaluated` are to be verified again for a metric of `evaluate`. `unmet`
    is why `max_total_bytes` is not met, `unconfirmed` why the plan waits for a person
    (`checkpointd.retention.confirmation`). Whether anything is carried out is up to the caller: see
    `policy.mode`.
    """

    policy: RetentionSettings
    decisions: tuple[Decision, ...]
    holds: tuple[Hold, ...]
    suspects: tuple[str, ...] = ()
    unevaluated: tuple[Entry, ...] = ()
    unmet: str = ""
    unconfirmed: tuple[Hold, ...] = ()

    @property
    def kept(self) -> tuple[Decision, ...]:
        """What stays."""
        return tuple(d for d in self.decisions if d.keep)

    @property
    def removals(self) -> tuple[Decision, ...]:
        """What may go, oldest first."""
        removed = [d for d in self.decisions if not d.keep]
        return tuple(sorted(removed, key=lambda d: (d.entry.saved_at, d.entry.id)))


def plan(
    entries: Iterable[Entry],
    policy: RetentionSettings,
    now: float,
    references: References = NO_REFERENCES,
    *,
    changed: frozenset[str] = frozenset(),
    touched: frozenset[str] = frozenset(),
    shared: frozenset[str] = frozenset(),
    in_use: Mapping[str, str] = MappingProxyType({}),
    listing: str = "",
    root: RootDoubts = RootDoubts(),  # noqa: B008 - frozen
    evaluation: CurrentEvaluation = NOT_EVALUATED,
    filesystem: FileSystem | None = None,
    ages: Ages | None = None,
    templates: Sequence[str] = (),
) -> RetentionPlan:
    """Decide about every checkpoint.

    Args:
        entries: everything that the ledger knows of one watch or several.
        policy: `[watch.retention]`.
        now: seconds since the epoch.
        references: what `checkpoint` state files and symbolic links name.
        changed: paths of valid ones that are not on disk as they were verified: they fill no slot,
            and stay.
        touched: paths of valid ones with the sizes and times that were verified, and another inode
            or change time: they fill no slot, and stay, until their content has been compared.
        shared: paths of directories that also hold something that is not part of the checkpoint:
            it would be moved along, so they stay.
        in_use: how processes have checkpoints open, by path.
        listing: why the watch could not be listed; empty if it could.
        root: what is doubtful about the root and the ledger.
        evaluation: how `evaluate` measures checkpoints now.
        filesystem: how full that of the watch is; None if that is not known.
        ages: how old stored times are; None: by the wall clock.
        templates: the `version` templates of the watch.
    """
    ages = ages or WallAges(now)
    present = [e for e in entries if e.state not in ABSENT]
    if not policy.has_rules:
        suspects = tuple(e.path for e in newest_first(present) if e.path in changed)
        return RetentionPlan(policy, _keep_all(present), (), suspects)
    on_disk = StateOnDisk(references, changed, _directories_above(present), shared, in_use, touched)
    served = served_versions(present)
    decisions: list[Decision] = []
    holds: list[Hold] = []
    to_evaluate: list[Entry] = []
    doubtful = changed | touched
    counted: set[int] = set()
    for (watch, series), group in sorted(by_series(present).items(), key=lambda item: item[0]):
        eligible = [e for e in group if is_eligible(e, policy) and e.path not in doubtful]
        waiting = unevaluated(eligible, policy, evaluation)
        obstacles = _obstacles(policy, (saved_checkpoint(e, now, ages) for e in eligible))
        state = SeriesState(group, policy, listing, root, obstacles, waiting, references, templates)
        held = holds_of(watch, series, state)
        holds.extend(held)
        to_evaluate.extend(waiting.next)
        counted.update(e.id for e in eligible)
        planner = _SeriesPlanner(group, eligible, policy, now, ages, on_disk, held, served)
        decisions.extend(planner.decide())
    suspects = tuple(d.entry.path for d in decisions if d.entry.path in changed)
    decisions, unmet = within_size(decisions, policy, frozenset(counted), on_hold=bool(holds))
    decisions = deferred(decisions, policy, filesystem)
    made = tuple(decisions)
    return RetentionPlan(policy, made, tuple(holds), suspects, tuple(to_evaluate), unmet)


class _SeriesPlanner:
    """One series under one policy: its checkpoints on disk, and those that may fill a slot.

    Both are newest first.
    """

    def __init__(
        self,
        group: Sequence[Entry],
        eligible: Sequence[Entry],
        policy: RetentionSettings,
        now: float,
        ages: Ages,
        on_disk: StateOnDisk,
        holds: tuple[Hold, ...],
        served: frozenset[int],
    ) -> None:
        self._ordered = group
        self._policy = policy
        self._holds = holds
        broken = [e for e in self._ordered if is_broken_checkpoint(e)]
        keep = rules_of(policy, Effect.KEEP)
        self._keep_names = ", ".join(dict.fromkeys(rule.name for rule in keep))
        expire = rules_of(policy, Effect.EXPIRE)
        sized = [SIZE] if policy.max_total_bytes is not None else []
        self._removing_names = " and ".join([*(rule.name for rule in expire), *sized])
        self._expire = _claims(expire, eligible, now, ages)
        self._expired = frozenset(i for _, claimed in self._expire for i in claimed)
        self._keep = _claims(keep, eligible, now, ages)
        self._remove = _claims(rules_of(policy, Effect.REMOVE_INVALID), broken, now, ages)
        self._floor = self._fill_floor(eligible)
        newest = next((e.id for e in self._ordered if e.state is not State.UNKNOWN), None)
        removable = frozenset(i for _, claimed in self._remove for i in claimed)
        alone = alone_in_named(group, on_disk.references)
        self._situation = Situation(policy, ages, on_disk, newest, removable, alone, served)

    def decide(self) -> list[Decision]:
        """The decision about each checkpoint, newest first."""
        return [self._decide(entry) for entry in self._ordered]

    def _decide(self, entry: Entry) -> Decision:
        reasons = list(self._reasons_to_keep(entry))
        if reasons:
            texts = tuple(text for _, text in reasons)
            may_go = not self._holds and yields(label for label, _ in reasons)
            return Decision(entry, True, texts, reasons[0][0], may_go)
        if self._holds:
            texts = tuple(f"pruning of this series is on hold: {h.message}" for h in self._holds)
            return Decision(entry, True, texts, "hold")
        unclaimed = f"it is valid, and not kept by {self._keep_names}"
        removing = [*self._expire, *self._remove]
        rule, reason = next(_claimed(entry, removing), (UNCLAIMED, unclaimed))
        return Decision(entry, False, (reason,), rule)

    def _reasons_to_keep(self, entry: Entry) -> Iterator[tuple[str, str]]:
        yield from self._protected(entry, PROTECTIONS)
        if entry.id not in self._expired:
            yield from _claimed(entry, self._keep)
        if entry.id in self._floor:
            n = self._policy.keep_min_valid
            yield "keep_min_valid", f"at least {n} valid ones always stay (keep_min_valid)"
        yield from self._protected(entry, DOUBTS_IN_STATE[entry.state])
        if not self._keep_names and entry.state is State.VALID and entry.id not in self._expired:
            names = self._removing_names
            yield NO_RULE, f"no keep_ rule is configured, and {names} does not remove it yet"

    def _protected(self, entry: Entry, rows: tuple[Protection, ...]) -> Iterator[tuple[str, str]]:
        for row in rows:
            reason = row.reason(entry, self._situation)
            if reason:
                yield row.label, reason

    def _fill_floor(self, eligible: Sequence[Entry]) -> frozenset[int]:
        """The newest eligible ones, as many as the rules leave missing to `keep_min_valid`."""
        claimed = {i for _, ids in self._keep for i in ids} - self._expired
        if not self._keep_names:
            claimed = {e.id for e in eligible} - self._expired
        missing = self._policy.keep_min_valid - len(claimed)
        others = [e.id for e in eligible if e.id not in claimed]
        return frozenset(others[: max(0, missing)])


def _claims(rules: Sequence[Rule], entries: Sequence[Entry], now: float, ages: Ages) -> Claims:
    checkpoints = [saved_checkpoint(entry, now, ages) for entry in entries] if rules else []
    return [(rule.name, rule.claim(checkpoints, now)) for rule in rules]


def _obstacles(
    policy: RetentionSettings, newest_first: Iterable[SavedCheckpoint]
) -> tuple[Obstacle, ...]:
    """Why rules that keep cannot be evaluated for a series."""
    rules = [rule for rule in rules_of(policy, Effect.KEEP) if isinstance(rule, Measuring)]
    checkpoints = tuple(newest_first) if rules else ()
    found = (rule.obstacle(checkpoints) for rule in rules)
    return tuple(obstacle for obstacle in found if obstacle is not None)


def _claimed(entry: Entry, claims: Claims) -> Iterator[tuple[str, str]]:
    """The rules that claim a checkpoint, each with its reason."""
    return ((name, claimed[entry.id]) for name, claimed in claims if entry.id in claimed)


def _keep_all(present: Sequence[Entry]) -> tuple[Decision, ...]:
    reason = ("no keep_ rule is configured, so everything is kept",)
    return tuple(Decision(entry, True, reason, NO_RULE) for entry in newest_first(present))


def _directories_above(entries: Sequence[Entry]) -> frozenset[str]:
    found: set[str] = set()
    for entry in entries:
        above = entry.path.rpartition("/")[0]
        while above and above not in found:
            found.add(above)
            above = above.rpartition("/")[0]
    return frozenset(found)
