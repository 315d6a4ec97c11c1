"""What no policy and no history may ever lead to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from checkpointd.config import RetentionSettings
from checkpointd.ledger import State
from checkpointd.retention import References, plan
from tests.helpers.ledger import entry

NOW = 100_000_000.0
_ENTRIES = st.lists(
    st.builds(
        lambda state, at, step, loss, pinned, shown, series, tensors: {
            "state": state,
            "saved_at": at,
            "step": step,
            "metrics": {} if loss is None else {"loss": loss},
            "pinned": pinned,
            "shown": shown,
            "series": series,
            "tensors": tensors,
        },
        st.sampled_from([State.VALID] * 6 + list(State)),
        st.floats(NOW - 1e6, NOW + 1e4) | st.integers(0, int(NOW)).map(float),
        st.none() | st.integers(0, 50),
        st.none() | st.floats(allow_nan=True),
        st.sampled_from([False, False, False, True]),
        st.sampled_from([("intact", "loads"), ("intact",), ()]),
        st.sampled_from(["a-{}", "b-{}"]),
        st.sampled_from(["", "t", "t", "t", "u"]),
    ),
    max_size=30,
)
_POLICIES = st.builds(
    RetentionSettings,
    keep_last=st.none() | st.integers(1, 6),
    keep_hourly=st.none() | st.integers(1, 4),
    keep_daily=st.none() | st.integers(1, 4),
    keep_within=st.none() | st.sampled_from(["1s", "1h", "3d"]),
    keep_every_n_steps=st.none() | st.integers(1, 20),
    keep_best=st.none()
    | st.sampled_from([{"n": 2, "metric": "loss", "mode": m} for m in ("min", "max")]),
    keep_min_valid=st.integers(1, 4),
    max_total_bytes=st.none() | st.integers(1, 200),
    quarantine_ttl=st.none() | st.sampled_from(["1s", "10h"]),
    require=st.sampled_from([("intact",), ("intact", "loads")]),
)


@given(_ENTRIES, _POLICIES, st.frozensets(st.integers(1, 30), max_size=3))
def test_no_policy_ever_breaks_the_safety_rules(
    facts: list[dict[str, Any]], policy: RetentionSettings, named: frozenset[int]
) -> None:
    """Whatever the ledger holds and the config says, only sure things go, and enough stay."""
    entries = [entry(i, **keys) for i, keys in enumerate(facts, 1)]
    names = frozenset(f"/w/ckpt-{i}" for i in named)
    references = References(names)
    made = plan(entries, policy, NOW, references)
    assert made == plan(list(reversed(entries)), policy, NOW, references)
    present = [e for e in entries if e.state not in (State.GONE, State.TRASHED)]
    assert sorted(d.entry.id for d in made.decisions) == sorted(e.id for e in present)
    assert all(d.reasons and all(d.reasons) and d.rule for d in made.decisions)
    held = {hold.series for hold in made.holds}
    for decision in made.removals:
        gone = decision.entry
        assert policy.has_rules
        assert not gone.pinned
        assert gone.path not in names
        assert gone.checkpoint.series not in held
        if decision.rule == "quarantine_ttl":
            assert gone.state is State.INVALID
            assert policy.quarantine_ttl is not None
        else:
            assert gone.state is State.VALID
            assert gone.report is not None
            assert set(policy.require) <= set(gone.report.shown)
    for series in {e.checkpoint.series for e in present}:
        own = [d for d in made.decisions if d.entry.checkpoint.series == series]
        good = [
            d
            for d in own
            if d.entry.state is State.VALID
            and d.entry.report
            and set(policy.require) <= set(d.entry.report.shown)
        ]
        assert sum(d.keep for d in good) >= min(policy.keep_min_valid, len(good))
        newest = max(d.entry.saved_at for d in own)
        assert any(d.keep for d in own if d.entry.saved_at == newest)
        if policy.keep_last is not None and policy.max_total_bytes is None:  # it yields to that
            assert sum(d.keep for d in good) >= min(policy.keep_last, len(good))


@given(_ENTRIES, _POLICIES)
def test_a_plan_carried_out_leaves_nothing_more_to_do(
    facts: list[dict[str, Any]], policy: RetentionSettings
) -> None:
    """What is kept once is kept the next time, so that pruning comes to rest."""
    entries = [entry(i, **keys) for i, keys in enumerate(facts, 1)]
    made = plan(entries, policy, NOW)
    gone = [replace(d.entry, state=State.TRASHED) for d in made.removals]
    absent = [e for e in entries if e.state in (State.GONE, State.TRASHED)]
    again = plan([*(d.entry for d in made.kept), *gone, *absent], policy, NOW)
    if not again.holds:
        assert not [d for d in again.removals if d.rule == "quarantine_ttl"]
    for rule in ("keep_last", "keep_within", "keep_best"):
        before = {d.entry.id for d in made.kept if d.rule == rule}
        assert before <= {d.entry.id for d in again.kept}
