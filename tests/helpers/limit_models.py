"""Slow, obvious models of `max_total_bytes` and `prune_defer`."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from checkpointd.ledger import State
from checkpointd.retention.decision import Decision
from checkpointd.retention.limits import FileSystem, deferred, within_size
from tests.helpers.ledger import entry, generation
from tests.helpers.plans import policy

if TYPE_CHECKING:
    from collections.abc import Sequence


def _decision(identity: int, fact: tuple[Any, ...]) -> Decision:
    keep, may_go, state, at, size, series = fact
    made = entry(identity, state=state, saved_at=float(at), series=series)
    made = replace(made, generation=generation(float(at), size))
    keep = keep or state is State.PENDING
    return Decision(made, keep, ("",), "x", keep and may_go and state is State.VALID)


def _decisions(random: Random) -> list[Decision]:
    states = [State.VALID, State.VALID, State.INVALID, State.PENDING]
    facts = (
        (
            random.random() < 0.5,
            random.random() < 0.7,
            random.choice(states),
            random.randrange(7),
            random.randrange(10),
            random.choice(["a-{}", "b-{}"]),
        )
        for _ in range(random.randrange(15))
    )
    return [_decision(i, fact) for i, fact in enumerate(facts)]


def size_model(decisions: Sequence[Decision], limit: int, floor: int) -> set[int]:
    """The ids of what stays: the oldest that may go goes, again and again, until all fit."""
    stay = [d for d in decisions if d.keep]
    while True:
        valid = [d for d in stay if d.entry.state is State.VALID]
        if sum(d.entry.generation.size_bytes for d in valid) <= limit:
            break
        of = {d.entry.checkpoint.series: 0 for d in valid}
        for d in valid:
            of[d.entry.checkpoint.series] += 1
        may_go = [d for d in valid if d.yields and of[d.entry.checkpoint.series] > floor]
        if not may_go:
            break
        stay.remove(min(may_go, key=lambda d: (d.entry.saved_at, d.entry.id)))
    return {d.entry.id for d in stay}


def defer_model(decisions: Sequence[Decision], found: FileSystem, share: float) -> set[int]:
    """The ids of what goes: one after the other while the file system is too full."""
    going = [d for d in decisions if not d.keep]
    going.sort(key=lambda d: (d.entry.saved_at, d.entry.id))
    going.sort(key=lambda d: d.entry.state is State.VALID)
    gone, used = set(), found.used - min(found.trash, found.used)
    for d in going:
        if used > share * (found.used + found.free):
            gone.add(d.entry.id)
            used -= d.entry.generation.size_bytes
    return gone


def compare_limits(examples: int) -> None:
    """Compare both with their models on so many generated lists of decisions each."""

    @settings(max_examples=examples, database=None)
    @given(st.integers(0, 2**63))
    def compare(seed: int) -> None:
        random = Random(seed)  # noqa: S311 - one draw a case
        decisions = _decisions(random)
        _compare_size(decisions, random.randrange(1, 41), random.randrange(1, 4))
        found = FileSystem(*(random.randrange(limit) for limit in (60, 60, 20)))
        changed = deferred(decisions, policy(keep_last=1, prune_defer="50%"), found)
        gone = {d.entry.id for d in changed if not d.keep}
        assert gone == defer_model(decisions, found, 0.5)

    compare()


def _compare_size(decisions: list[Decision], limit: int, floor: int) -> None:
    asked = policy(keep_last=1, max_total_bytes=limit, keep_min_valid=floor)
    counted = frozenset(d.entry.id for d in decisions if d.entry.state is State.VALID)
    changed, unmet = within_size(decisions, asked, counted, on_hold=False)
    stay = {d.entry.id for d in changed if d.keep}
    assert stay == size_model(decisions, limit, floor)
    total = sum(d.entry.generation.size_bytes for d in changed if d.keep)
    assert bool(unmet) is (total > limit)
    assert within_size(decisions, asked, counted, on_hold=True)[0] == decisions
