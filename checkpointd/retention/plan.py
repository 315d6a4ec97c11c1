"""What a policy keeps and removes, with the reason for each. Pure: nothing is read or written.

Nothing is removed because of doubt: only valid checkpoints that have shown what `require` asks
fill a rule's slots, and only they are candidates, beside invalid ones past `quarantine_ttl`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.config.units import format_duration
from checkpointd.ledger import State
from checkpointd.retention.holds import Hold, holds_of
from checkpointd.retention.rules import rules_of
from checkpointd.retention.words import newest_first

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from checkpointd.config import RetentionSettings
    from checkpointd.ledger import Entry
    from checkpointd.retention.rules import Rule

UNCLAIMED = "unclaimed"
"""The `rule` of a removal because no keep_ rule asks for it."""

QUARANTINE = "quarantine_ttl"
"""The `rule` of a removal of an invalid one that is old enough."""

_NO_CHECKPOINT = "structure.not_a_checkpoint"

_KEPT_STATES = {
    State.WRITING: "it is still being written",
    State.PENDING: "it has no verdict yet",
    State.INCONCLUSIVE: "its verification was inconclusive",
    State.UNKNOWN: "it is no checkpoint that checkpointd knows",
    State.SUPERSEDED: "it changed while it was verified",
}
_ABSENT = {State.GONE, State.TRASHED}


@dataclass(frozen=True)
class Decision:
    """One checkpoint, kept or to be removed; `rule` is the first reason's, for the metrics."""

    entry: Entry
    keep: bool
    reasons: tuple[str, ...]
    rule: str


@dataclass(frozen=True)
class Plan:
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
        gone = [d for d in self.decisions if not d.keep]
        return tuple(sorted(gone, key=lambda d: (d.entry.saved_at, d.entry.id)))


def is_candidate(entry: Entry, policy: RetentionSettings) -> bool:
    """Whether a checkpoint may fill a slot: valid, and it has shown what is required."""
    return (
        entry.state is State.VALID
        and entry.report is not None
        and set(policy.require) <= set(entry.report.shown)
    )


def plan(
    entries: Iterable[Entry],
    policy: RetentionSettings,
    now: float,
    references: frozenset[str] = frozenset(),
    *,
    changed: frozenset[str] = frozenset(),
    shared: frozenset[str] = frozenset(),
    listing: str = "",
    rebuilt: bool = False,
) -> Plan:
    """Decide about every checkpoint.

    Args:
        entries: everything that the ledger knows of one watch or several.
        policy: `[watch.retention]`.
        now: seconds since the epoch.
        references: paths that `checkpoint` state files and symbolic links name.
        changed: paths of valid ones that are not on disk as they were verified: they fill no slot,
            and stay.
        shared: paths of directories in which something lies that is no part of the checkpoint: it
            would go with it, so they stay.
        listing: what went wrong while the watch was listed; empty if nothing did.
        rebuilt: whether the ledger was lost, and not all has been verified again.
    """
    groups: dict[tuple[str, str], list[Entry]] = {}
    present = [e for e in entries if e.state not in _ABSENT]
    for entry in present:
        groups.setdefault((entry.checkpoint.watch, entry.checkpoint.series), []).append(entry)
    rules = rules_of(policy)
    if not rules:
        suspects = tuple(e.path for e in newest_first(present) if e.path in changed)
        return Plan(policy, _keep_all(present), (), suspects)
    inside = _directories_above(present)
    decisions: list[Decision] = []
    holds: list[Hold] = []
    for (watch, series), group in sorted(groups.items(), key=lambda item: item[0]):
        held = holds_of(watch, series, group, listing=listing, rebuilt=rebuilt)
        holds.extend(held)
        judge = _Series(group, policy, now, _Disk(references, changed, inside, shared), rules, held)
        decisions.extend(judge.decide(entry) for entry in judge.ordered)
    suspects = tuple(d.entry.path for d in decisions if d.entry.path in changed)
    return Plan(policy, tuple(decisions), tuple(holds), suspects)


@dataclass(frozen=True)
class _Disk:
    """Paths by what the disk says: named, changed, with checkpoints or other files inside."""

    references: frozenset[str]
    changed: frozenset[str]
    inside: frozenset[str]
    shared: frozenset[str]


class _Series:
    """One series under one policy."""

    def __init__(
        self,
        group: Sequence[Entry],
        policy: RetentionSettings,
        now: float,
        disk: _Disk,
        rules: tuple[Rule, ...],
        holds: tuple[Hold, ...],
    ) -> None:
        self.ordered = newest_first(group)
        self._policy = policy
        self._now = now
        self._disk = disk
        self._holds = holds
        self._newest = next((e.id for e in self.ordered if e.state is not State.UNKNOWN), None)
        candidates = [
            e for e in self.ordered if is_candidate(e, policy) and e.path not in disk.changed
        ]
        self._claims: list[tuple[str, Mapping[int, str]]] = [
            (rule.name, rule.claim(candidates, now)) for rule in rules
        ]
        self._floor = self._fill_floor(candidates)
        self._names = ", ".join(rule.name for rule in rules)

    def decide(self, entry: Entry) -> Decision:
        reasons = list(self._reasons_to_keep(entry))
        if reasons:
            return Decision(entry, True, tuple(text for _, text in reasons), reasons[0][0])
        if is_candidate(entry, self._policy):
            removal = Decision(
                entry, False, (f"it is valid, and none of {self._names} asks for it",), UNCLAIMED
            )
        else:
            ttl = format_duration(self._policy.quarantine_ttl or 0)
            removal = Decision(
                entry, False, (f"it is invalid and older than quarantine_ttl = {ttl}",), QUARANTINE
            )
        if self._holds:
            texts = tuple(f"pruning of this series is on hold: {h.message}" for h in self._holds)
            return Decision(entry, True, texts, "hold")
        return removal

    def _reasons_to_keep(self, entry: Entry) -> Iterable[tuple[str, str]]:
        if entry.pinned:
            yield "pinned", "it is pinned"
        if is_named(entry, self._disk.references):
            yield "referenced", "a `checkpoint` state file or a symbolic link names it"
        if entry.id == self._newest:
            yield "newest", "it is the newest of its series"
        if entry.path in self._disk.inside:
            yield "contains", "other checkpoints lie inside it"
        elif entry.path in self._disk.shared:
            yield "contains", "its directory also holds files that are no part of it"
        for name, claimed in self._claims:
            if entry.id in claimed:
                yield name, claimed[entry.id]
        if entry.id in self._floor:
            n = self._policy.keep_min_valid
            yield "keep_min_valid", f"{n} valid ones stay, whatever the rules say (keep_min_valid)"
        yield from self._doubts(entry)

    def _doubts(self, entry: Entry) -> Iterable[tuple[str, str]]:
        if entry.state in _KEPT_STATES:
            yield str(entry.state), _KEPT_STATES[entry.state]
        elif entry.path in self._disk.changed:
            yield "changed", "it changed on disk since it was verified; it is verified again"
        elif entry.state is State.VALID and not is_candidate(entry, self._policy):
            shown = entry.report.shown if entry.report else ()
            missing = ", ".join(w for w in self._policy.require if w not in shown)
            yield "require", f"it has not shown what `require` asks for: {missing}"
        elif entry.state is State.INVALID:
            ttl = self._policy.quarantine_ttl
            since = max(entry.saved_at, entry.first_seen, entry.seen)
            if entry.report is not None and entry.report.reason == _NO_CHECKPOINT:
                yield "invalid", "it is no checkpoint, whatever it is called: remove it yourself"
            elif ttl is None:
                yield "invalid", "it is invalid, and stays to be looked at (no quarantine_ttl)"
            elif self._now - since <= ttl:
                yield (
                    "invalid",
                    f"it is invalid, and quarantine_ttl = {format_duration(ttl)} is not over",
                )

    def _fill_floor(self, candidates: Sequence[Entry]) -> frozenset[int]:
        """The newest candidates, as many as the rules leave missing to `keep_min_valid`."""
        claimed = {i for _, ids in self._claims for i in ids}
        missing = self._policy.keep_min_valid - len(claimed)
        others = [e.id for e in candidates if e.id not in claimed]
        return frozenset(others[: max(0, missing)])


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


def is_named(entry: Entry, references: frozenset[str]) -> bool:
    """Whether a reference names the checkpoint, a file of it, or something inside it."""
    if not references:
        return False
    path = entry.path
    return (
        path.rstrip("/") in references  # of an empty prefix the directory is named
        or any(path + m.name in references for m in entry.generation.members)
        or any(name.startswith(path + "/") for name in references)
    )
