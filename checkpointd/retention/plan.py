"""What a policy keeps and removes, with the reason for each. Pure: nothing is read or written.

Nothing is removed because of doubt: only valid checkpoints that have shown what `require` asks
fill a rule's slots, and only they may be removed, beside invalid ones that a rule removes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from checkpointd.ledger.facts import ABSENT
from checkpointd.retention.holds import Hold, hold_older_runs, holds_of
from checkpointd.retention.protections import StateOnDisk
from checkpointd.retention.series_order import order_series, series_sighting
from checkpointd.retention.series_planner import Decision, PolicyRules, SeriesPlanner
from checkpointd.retention_rules.order import newest_first
from checkpointd.retention_rules.table import KEEP_RUNS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from checkpointd.config import RetentionSettings
    from checkpointd.ledger import DepartedCheckpoint, Entry


@dataclass(frozen=True)
class RetentionPlan:
    """The decisions about every checkpoint on disk, newest first within a series, and the holds.

    `suspects` are the paths of valid ones that are not on disk as they were verified: they should
    be verified again. Whether anything is carried out is up to the caller: see `policy.mode`.
    """

    policy: RetentionSettings
    decisions: tuple[Decision, ...]
    holds: tuple[Hold, ...]
    suspects: tuple[str, ...] = ()

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
    references: frozenset[str] = frozenset(),
    *,
    changed: frozenset[str] = frozenset(),
    touched: frozenset[str] = frozenset(),
    shared: frozenset[str] = frozenset(),
    written: frozenset[str] = frozenset(),
    listing: str = "",
    rebuilt: bool = False,
    departed: Iterable[DepartedCheckpoint] = (),
    may_remove_runs: bool = False,
) -> RetentionPlan:
    """Decide about every checkpoint.

    Args:
        entries: everything that the ledger knows of one watch or several.
        policy: `[watch.retention]`.
        now: seconds since the epoch.
        references: paths that `checkpoint` state files and symbolic links name.
        changed: paths of valid ones that are not on disk as they were verified: they fill no slot,
            and stay.
        touched: paths of valid ones with the sizes and times that were verified, and another inode
            or change time: they fill no slot, and stay, until their content has been compared.
        shared: paths of directories that also hold something that is not part of the checkpoint:
            it would be moved along, so they stay.
        written: paths of those that a process has open for writing.
        listing: why the watch could not be listed; empty if it could.
        rebuilt: whether the ledger was lost, and not all has been verified again.
        departed: what was known and is not on disk any more: it tells where runs begin.
        may_remove_runs: whether a person has agreed that whole runs are removed (`keep_runs`).
    """
    entries = list(entries)
    present = [e for e in entries if e.state not in ABSENT]
    if not policy.has_rules:
        suspects = tuple(e.path for e in newest_first(present) if e.path in changed)
        return RetentionPlan(policy, _keep_all(present), (), suspects)
    on_disk = StateOnDisk(
        references, changed, _directories_above(present), shared, written, touched
    )
    decisions: list[Decision] = []
    holds: list[Hold] = []
    rules = PolicyRules(policy)
    past = [series_sighting(one) for one in departed]
    orders = order_series(entries, now, past, policy.order)
    for (watch, series), order in sorted(orders.items(), key=lambda item: item[0]):
        held = holds_of(watch, series, order, listing=listing, rebuilt=rebuilt)
        decided = SeriesPlanner(order, rules, now, on_disk, held).decide()
        if not may_remove_runs:
            older = hold_older_runs(watch, series, [d.entry for d in decided if _ends_a_run(d)])
            held += older
            decided = [_held(d, older[0]) if _ends_a_run(d) else d for d in decided]
        holds.extend(held)
        decisions.extend(decided)
    suspects = tuple(d.entry.path for d in decisions if d.entry.path in changed)
    return RetentionPlan(policy, tuple(decisions), tuple(holds), suspects)


def _ends_a_run(decision: Decision) -> bool:
    """Whether it is removed because its whole run is too old."""
    return not decision.keep and decision.rule == KEEP_RUNS


def _held(decision: Decision, hold: Hold) -> Decision:
    reason = f"removing older runs is on hold: {hold.message}"
    return replace(decision, keep=True, rule="hold", reasons=(*decision.reasons, reason))


def _keep_all(present: Sequence[Entry]) -> tuple[Decision, ...]:
    reason = ("no keep_ rule is configured, so everything is kept",)
    return tuple(Decision(entry, True, reason, "no_rule") for entry in newest_first(present))


def _directories_above(entries: Sequence[Entry]) -> frozenset[str]:
    found: set[str] = set()
    for entry in entries:
        above = entry.path.rpartition("/")[0]
        while above and above not in found:
            found.add(above)
            above = above.rpartition("/")[0]
    return frozenset(found)
