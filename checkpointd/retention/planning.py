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
from checkpointd.retention.collector import paused_collector
from checkpointd.retention.decision import Decision
from checkpointd.retention.eligibility import has_shown, saved_checkpoint
from checkpointd.retention.evaluation import NOT_EVALUATED, unevaluated
from checkpointd.retention.holds import Hold, hold_older_runs, holds_of, holds_unread
from checkpointd.retention.limits import deferred, within_size
from checkpointd.retention.protections import StateOnDisk
from checkpointd.retention.references import NO_REFERENCES
from checkpointd.retention.root.doubts import RootDoubts
from checkpointd.retention.series_order import departed_sighting, order_series
from checkpointd.retention.series_planner import PolicyRules, SeriesPlanner
from checkpointd.retention.series_state import SeriesState
from checkpointd.retention.served import served_versions
from checkpointd.retention_rules.order import newest_first
from checkpointd.retention_rules.table import KEEP_RUNS
from checkpointd.series.dated_saves import dated_saves
from checkpointd.series.lone_numbers import lone_numbers

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Iterable, Mapping, Sequence

    from checkpointd.config import RetentionSettings
    from checkpointd.ledger import Ages, DepartedCheckpoint, Entry
    from checkpointd.retention.evaluation import CurrentEvaluation
    from checkpointd.retention.limits import FileSystem
    from checkpointd.retention.references import References
    from checkpointd.retention.series_order import SeriesOrder


@dataclass(frozen=True)
class RetentionPlan:
    """The decisions about every checkpoint on disk, newest first within a series, and the holds.

    `suspects` are the paths of valid ones that are not on disk as they were verified: they should
    be verified again. `unevaluated` are to be verified again for a metric of `evaluate`. `unmet`
    is why `max_total_bytes` is not met, `unconfirmed` why the plan waits for a person
    (`checkpointd.retention.confirmation`), `kept_in_trash` why the trash keeps what it has for
    longer than `trash_ttl` (`checkpointd.retention.trash_ttl`). `notes` are sentences about what
    no rule can ever remove because of its name. Whether anything is carried out is
    up to the caller: see `policy.mode`.
    """

    policy: RetentionSettings
    decisions: tuple[Decision, ...]
    holds: tuple[Hold, ...]
    suspects: tuple[str, ...] = ()
    unevaluated: tuple[Entry, ...] = ()
    unmet: str = ""
    unconfirmed: tuple[Hold, ...] = ()
    kept_in_trash: tuple[Hold, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def kept(self) -> tuple[Decision, ...]:
        """What stays."""
        return tuple(d for d in self.decisions if d.keep)

    @property
    def removals(self) -> tuple[Decision, ...]:
        """What is removed, oldest first."""
        removed = [d for d in self.decisions if not d.keep]
        return tuple(sorted(removed, key=lambda d: (d.entry.saved_at, d.entry.id)))


@paused_collector()
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
    without_copy: Mapping[str, str] = MappingProxyType({}),
    listing: str = "",
    root: RootDoubts = RootDoubts(),  # noqa: B008 - frozen
    evaluation: CurrentEvaluation = NOT_EVALUATED,
    filesystem: FileSystem | None = None,
    ages: Ages | None = None,
    departed: Iterable[DepartedCheckpoint] = (),
    may_remove_runs: bool = False,
    dropped: frozenset[tuple[int, int]] = frozenset(),
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
        without_copy: why valid ones have no copy in the bucket that they are to be copied to, by
            path; they stay.
        listing: why the watch could not be listed; empty if it could.
        root: what is doubtful about the root and the ledger.
        evaluation: how `evaluate` measures checkpoints now.
        filesystem: how full that of the watch is; None if that is not known.
        ages: how old stored times are; None: by the wall clock.
        departed: what was known and is not on disk any more: it tells where runs begin.
        may_remove_runs: whether a person agrees now that whole runs are removed (`keep_runs`).
        dropped: those of runs that a person has agreed to remove before: ids and sequences.
        templates: the `version` templates of the watch.
    """
    ages = ages or WallAges(now)
    entries = list(entries)
    present = [e for e in entries if e.state not in ABSENT]
    if not policy.has_rules:
        suspects = tuple(e.path for e in newest_first(present) if e.path in changed)
        return RetentionPlan(policy, _keep_all(present), (), suspects)
    on_disk = StateOnDisk(
        references, changed, _containing(present), shared, in_use, touched, without_copy
    )
    served = served_versions(present)
    decisions: list[Decision] = []
    holds: list[Hold] = []
    to_evaluate: list[Entry] = []
    doubtful = changed | touched
    counted: set[int] = set()
    rules = PolicyRules(policy)
    watch_obstacles = rules.watch_obstacles(entries)
    past = [departed_sighting(one, policy.group_by) for one in departed]
    orders = order_series(
        entries, now, past, policy.order, policy.group_by, references.saving_orders
    )
    alone: dict[str, list[str]] = {}
    for watch, series in sorted(orders):
        order = orders.pop((watch, series))  # what is known of the place of each takes memory
        if (label := _alone(order)) is not None:
            alone.setdefault(watch, []).append(label)
        eligible = _eligible(order, policy.require, doubtful)
        saved = {e.id: saved_checkpoint(e, now, ages) for e in eligible}
        waiting = unevaluated(eligible, policy, evaluation)
        obstacles = (*watch_obstacles, *rules.obstacles(list(saved.values())))
        state = SeriesState(order, policy, listing, root, obstacles, waiting, references, templates)
        held = holds_of(watch, series, state)
        to_evaluate.extend(waiting.next)
        counted.update(saved)
        decided = SeriesPlanner(order, saved, rules, now, ages, on_disk, held, served).decide()
        if not may_remove_runs:
            decided, runs_held = _with_older_runs_held(watch, series, decided, dropped)
            held = (*held, *runs_held)
        holds.extend(held)
        decisions.extend(decided)
    suspects = tuple(d.entry.path for d in decisions if changed and d.entry.path in changed)
    decisions, unmet = within_size(decisions, policy, frozenset(counted), on_hold=bool(holds))
    decisions = deferred(decisions, policy, filesystem)
    notes: list[str] = []
    for watch, labels in sorted(alone.items()):
        holds += holds_unread(watch, labels, templates)
        notes += lone_numbers(labels, templates) + dated_saves(labels, templates)
    return RetentionPlan(
        policy,
        tuple(decisions),
        tuple(holds),
        suspects,
        tuple(to_evaluate),
        unmet,
        notes=tuple(notes),
    )


def _alone(order: SeriesOrder) -> str | None:
    """The label of a series if it has one checkpoint; what is overwritten has earlier ones."""
    if len(order.newest_first) != 1:
        return None
    entry = order.newest_first[0]
    is_alone = entry.state is not State.UNKNOWN and not entry.before
    return entry.checkpoint.series if is_alone else None


def _eligible(
    order: SeriesOrder, required: Collection[str], doubtful: Container[str]
) -> list[Entry]:
    """The checkpoints of a series that may fill a slot, newest first."""
    return [
        e
        for e in order.newest_first
        if has_shown(e, required) and e.id not in order.doubts and e.path not in doubtful
    ]


def _with_older_runs_held(
    watch: str, series: str, decided: list[Decision], dropped: frozenset[tuple[int, int]]
) -> tuple[list[Decision], tuple[Hold, ...]]:
    """Keep what only leaves with a run that is too old, and the hold about that."""
    leaving = [d.entry for d in decided if _ends_a_run(d, dropped)]
    if not leaving:
        return decided, ()
    hold = hold_older_runs(watch, series, leaving)
    return [_held(d, hold) if _ends_a_run(d, dropped) else d for d in decided], (hold,)


def _ends_a_run(decision: Decision, dropped: frozenset[tuple[int, int]]) -> bool:
    """Whether it is removed because its whole run is too old, to which nobody has agreed yet."""
    if decision.keep or decision.rule != KEEP_RUNS:
        return False
    return (decision.entry.id, decision.entry.sequence) not in dropped


def _held(decision: Decision, hold: Hold) -> Decision:
    reason = f"removing older runs is on hold: {hold.message}"
    return decision._replace(keep=True, rule=hold.reason, reasons=(*decision.reasons, reason))


def _keep_all(present: Sequence[Entry]) -> tuple[Decision, ...]:
    reason = ("no keep_ rule is configured, so everything is kept",)
    return tuple(
        Decision(entry, keep=True, reasons=reason, rule="no_rule")
        for entry in newest_first(present)
    )


def _containing(entries: Sequence[Entry]) -> frozenset[str]:
    """The paths of checkpoints that contain other checkpoints."""
    containing: set[str] = set()
    paths = [entry.path for entry in entries]
    for path in paths:
        above = path.rpartition("/")[0]
        while above and above not in containing:
            containing.add(above)
            above = above.rpartition("/")[0]
    return frozenset(containing.intersection(paths))
