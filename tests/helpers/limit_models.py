"""Slow, obvious models of `max_total_bytes` and `prune_defer`."""

from __future__ import annotations

from dataclasses import replace
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

_FACTS = st.tuples(
    st.booleans(),
    st.booleans(),
    st.sampled_from([State.VALID, State.VALID, State.INVALID, State.PENDING]),
    st.integers(0, 6),
    st.integers(0, 9),
    st.sampled_from(["a-{}", "b-{}"]),
)


def _decision(identity: int, fact: tuple[Any, ...]) -> Decision:
    keep, may_go, state, at, size, series = fact
    made = entry(identity, state=state, saved_at=float(at), series=series)
    made = replace(made, generation=generation(float(at), size))
    keep = keep or state is State.PENDING
    return Decision(made, keep, ("",), "x", keep and may_go and state is State.VALID)


DECISIONS = st.lists(_FACTS, max_size=14).map(
    lambda facts: [_decision(i, fact) for i, fact in enumerate(facts)]
)


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
    @given(DECISIONS, st.integers(1, 40), st.integers(1, 3))
    def compare_size(decisions: list[Decision], limit: int, floor: int) -> None:
        asked = policy(keep_last=1, max_total_bytes=limit, keep_min_valid=floor)
        counted = frozenset(d.entry.id for d in decisions if d.entry.state is State.VALID)
        changed, unmet = within_size(decisions, asked, counted, on_hold=False)
        stay = {d.entry.id for d in changed if d.keep}
        assert stay == size_model(decisions, limit, floor)
        total = sum(d.entry.generation.size_bytes for d in changed if d.keep)
        assert bool(unmet) is (total > limit)
        held, unmet = within_size(decisions, asked, counted, on_hold=True)
        assert held == decisions

    @settings(max_examples=examples, database=None)
    @given(DECISIONS, st.integers(0, 60), st.integers(0, 60), st.integers(0, 20))
    def compare_defer(decisions: list[Decision], used: int, free: int, trash: int) -> None:
        found = FileSystem(used, free, trash)
        changed = deferred(decisions, policy(keep_last=1, prune_defer="50%"), found)
        gone = {d.entry.id for d in changed if not d.keep}
        assert gone == defer_model(decisions, found, 0.5)

    compare_size()
    compare_defer()
