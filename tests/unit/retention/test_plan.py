"""What a policy keeps and removes, and that doubt never removes anything."""

from __future__ import annotations

import math
from typing import Any

import pytest

from checkpointd.config import RetentionSettings
from checkpointd.ledger import Entry, State
from checkpointd.retention import RetentionPlan, plan
from tests.helpers.ledger import entry

NOW = 100_000_000.0
HOUR = 3600.0


def _policy(**keys: Any) -> RetentionSettings:
    return RetentionSettings(**{"keep_min_valid": 1, **keys})


def _series(count: int, **keys: Any) -> list[Entry]:
    """`count` valid ones, an hour apart, the last one saved an hour ago."""
    return [
        entry(i, step=i, saved_at=NOW - (count - i + 1) * HOUR, **keys) for i in range(1, count + 1)
    ]


def _kept(made: RetentionPlan) -> set[int]:
    return {d.entry.id for d in made.kept}


def _why(made: RetentionPlan, identity: int) -> str:
    return "; ".join(next(d.reasons for d in made.decisions if d.entry.id == identity))


def _holds(made: RetentionPlan) -> set[str]:
    return {hold.reason for hold in made.holds}


def test_without_a_rule_everything_is_kept() -> None:
    """An empty policy is no order to delete."""
    made = plan(_series(5), _policy(quarantine_ttl="1s"), NOW)
    assert _kept(made) == {1, 2, 3, 4, 5}
    assert "no keep_ rule is configured" in _why(made, 1)


def test_keep_last_keeps_the_newest_and_says_why() -> None:
    """Every keep and every remove has its reason."""
    made = plan(_series(5), _policy(keep_last=2), NOW)
    assert _kept(made) == {4, 5}
    assert [d.entry.id for d in made.removals] == [1, 2, 3]
    assert "number 2 of the 2 newest valid ones (keep_last = 2)" in _why(made, 4)
    assert _why(made, 1) == "it is valid, and none of keep_last asks for it"
    assert {d.rule for d in made.removals} == {"unclaimed"}
    assert made.holds == ()


def test_what_changed_on_disk_fills_no_slot_and_stays() -> None:
    """A verdict on other bytes than those that lie there is worth nothing."""
    changed = frozenset({"/w/ckpt-4", "/w/ckpt-5"})
    made = plan(_series(6), _policy(keep_last=2), NOW, changed=changed)
    assert _kept(made) == {3, 4, 5, 6}
    assert _why(made, 4) == "it changed on disk since it was verified; it is verified again"
    assert set(made.suspects) == changed
    floor = plan(_series(6), _policy(keep_last=1, keep_min_valid=3), NOW, changed=changed)
    assert _kept(floor) == {2, 3, 4, 5, 6}


def test_rules_are_combined_by_or() -> None:
    """A checkpoint stays if any rule wants it."""
    made = plan(_series(10), _policy(keep_last=1, keep_every_n_steps=4), NOW)
    assert _kept(made) == {1, 4, 8, 10}


def test_keep_within_counts_from_the_newest_valid_one() -> None:
    """A job that has stopped loses nothing by waiting."""
    entries = _series(5)
    long_after = NOW + 365 * 24 * HOUR
    assert _kept(plan(entries, _policy(keep_within="2h"), long_after)) == {3, 4, 5}


def test_a_save_time_in_the_future_shortens_nothing() -> None:
    """A clock that ran ahead once must not age all others out at once."""
    entries = [*_series(5), entry(6, step=6, saved_at=NOW + 1000 * HOUR)]
    assert _kept(plan(entries, _policy(keep_within="2h"), NOW)) == {3, 4, 5, 6}
    alone = [entry(i, step=i, saved_at=NOW + i) for i in range(1, 4)]
    assert _kept(plan(alone, _policy(keep_within="1s"), NOW)) == {1, 2, 3}


def test_keep_best_takes_the_best_and_never_nan() -> None:
    """NaN, infinite and missing metrics are never best; of equals the newer is."""
    losses = {1: 0.5, 2: math.nan, 3: 0.1, 4: 0.1, 5: None, 6: -math.inf, 7: 0.9}
    entries = [
        entry(i, step=i, saved_at=NOW - 100 + i, metrics={} if v is None else {"loss": v})
        for i, v in losses.items()
    ]
    best = {"n": 1, "metric": "loss", "mode": "min"}
    made = plan(entries, _policy(keep_best=best), NOW)
    assert _kept(made) == {4, 7}
    assert "best by loss, 0.1 (keep_best)" in _why(made, 4)
    assert _kept(plan(entries, _policy(keep_best={**best, "mode": "max"}), NOW)) == {7}
    assert _kept(plan(entries, _policy(keep_best={**best, "n": 3}), NOW)) == {1, 3, 4, 7}


def test_hours_and_days_keep_the_newest_of_each() -> None:
    """Periods without a checkpoint do not count, and the oldest fills a slot that is left."""
    day = 24 * HOUR
    start = NOW - NOW % day - 5 * day
    entries = [
        entry(number, step=number, saved_at=start + at)
        for number, at in enumerate(
            (0, HOUR, day, day + HOUR, 3 * day, 3 * day + 60, 3 * day + 2 * HOUR), 1
        )
    ]
    assert _kept(plan(entries, _policy(keep_daily=2), NOW)) == {4, 7}
    assert _kept(plan(entries, _policy(keep_daily=9), NOW)) == {1, 2, 4, 7}
    assert _kept(plan(entries, _policy(keep_hourly=3), NOW)) == {4, 6, 7}


def test_every_n_steps_is_counted_in_each_run() -> None:
    """A job started again in the same directory counts anew."""
    steps = [100, 200, 300, 400, 50, 150, 250, 350]
    entries = [entry(i, step=s, saved_at=NOW - 100 + i) for i, s in enumerate(steps)]
    entries += [
        entry(i + 50, step=s, saved_at=NOW - 50 + i) for i, s in enumerate(range(400, 1000, 50))
    ]
    kept = _kept(plan(entries, _policy(keep_every_n_steps=200), NOW))
    assert {0, 1, 3, 4, 6} <= kept
    assert not {2, 5, 7} & kept


def test_only_what_has_shown_what_is_required_fills_a_slot() -> None:
    """What has not shown it is kept, but counts for nothing."""
    entries = [*_series(3), entry(4, step=4, saved_at=NOW - 1, shown=("intact",))]
    made = plan(entries, _policy(keep_last=1, require=("intact", "loads")), NOW)
    assert _kept(made) == {3, 4}
    assert "has not shown what `require` asks for: loads" not in _why(made, 3)
    older = [entry(9, step=0, saved_at=NOW - 50 * HOUR, shown=("intact",)), *_series(3)]
    made = plan(older, _policy(keep_last=1, require=("intact", "loads")), NOW)
    assert _kept(made) == {9, 3}
    assert "asks for: loads" in _why(made, 9)


@pytest.mark.parametrize(
    "state",
    [
        State.WRITING,
        State.PENDING,
        State.INVALID,
        State.INCONCLUSIVE,
        State.UNKNOWN,
        State.SUPERSEDED,
    ],
)
def test_what_has_no_good_verdict_is_kept(state: State) -> None:
    """Nothing is deleted because of doubt, and it takes no slot from a valid one."""
    odd = entry(9, state=state, step=0, saved_at=NOW - 500 * HOUR)
    made = plan([odd, *_series(4)], _policy(keep_last=2), NOW)
    assert _kept(made) == {9, 3, 4}
    assert len(_why(made, 9)) > 10


def test_what_is_gone_is_not_planned() -> None:
    """The ledger remembers what is no longer on disk; retention has no say in it."""
    gone = [entry(8, state=State.GONE), entry(9, state=State.TRASHED)]
    assert _kept(plan([*gone, *_series(1)], _policy(keep_last=1), NOW)) == {1}


def test_the_newest_stays_whatever_its_verdict() -> None:
    """Someone may be looking at it right now."""
    newest = entry(9, state=State.INVALID, step=9, saved_at=NOW - 900)
    made = plan([*_series(3), newest], _policy(keep_last=1, quarantine_ttl="1s"), NOW)
    assert 9 in _kept(made)
    assert "newest of its series" in _why(made, 9)


def test_invalid_ones_go_after_the_quarantine_and_never_before() -> None:
    """Without a quarantine_ttl they stay for ever, with one until it is over."""
    old = entry(8, state=State.INVALID, step=0, saved_at=NOW - 100 * HOUR)
    late = entry(9, state=State.INVALID, step=0, saved_at=NOW - 99 * HOUR, seen=NOW - HOUR)
    entries = [old, late, *_series(3)]
    made = plan(entries, _policy(keep_last=3, quarantine_ttl="50h"), NOW)
    assert _kept(made) == {9, 1, 2, 3}
    assert made.removals[0].rule == "quarantine_ttl"
    assert _kept(plan(entries, _policy(keep_last=3), NOW)) == {8, 9, 1, 2, 3}


def test_pins_are_kept() -> None:
    """A pin outranks every rule."""
    entries = [entry(9, step=0, saved_at=NOW - 50 * HOUR, pinned=True), *_series(3)]
    made = plan(entries, _policy(keep_last=1), NOW)
    assert _kept(made) == {9, 3}
    assert _why(made, 9) == "it is pinned"


@pytest.mark.parametrize("name", ["/w/ckpt-1", "/w/ckpt-1/assets/x", "/w/ckpt-1.index"])
def test_what_is_named_is_kept(name: str) -> None:
    """A reference may name the checkpoint, something inside it, or one of its files."""
    first, *rest = _series(4)
    if name.endswith(".index"):
        prefixed = tuple(
            m.__class__(".index", m.device, m.inode, m.size, m.mtime_ns, m.ctime_ns)
            for m in first.generation.members
        )
        first = entry(1, step=1, saved_at=first.saved_at)
        object.__setattr__(first.generation, "members", prefixed)
    made = plan([first, *rest], _policy(keep_last=1), NOW, frozenset({name, "/w/ckpt-10"}))
    assert _kept(made) == {1, 4}


def test_a_directory_with_other_checkpoints_in_it_is_kept() -> None:
    """Moving it would take them along."""
    inner = entry(9, path="/w/ckpt-1/inner.h5", series="other")
    assert _kept(plan([*_series(3), inner], _policy(keep_last=1), NOW)) == {1, 3, 9}


def test_the_floor_holds_whatever_the_rules_say() -> None:
    """`keep_min_valid` adds the newest that no rule asked for."""
    best = {"n": 1, "metric": "loss", "mode": "min"}
    entries = [
        entry(i, step=i, saved_at=NOW - 10 + i, metrics={"loss": float(i)}) for i in range(1, 6)
    ]
    made = plan(entries, RetentionSettings(keep_best=best, keep_min_valid=3), NOW)
    assert _kept(made) == {1, 4, 5}
    assert "keep_min_valid" in _why(made, 4)


def test_each_series_is_its_own() -> None:
    """`fold_1.h5` is no older version of `fold_2.h5`."""
    entries = [entry(i, series=f"fold_{i}.h5", saved_at=NOW - i) for i in range(5)]
    assert plan(entries, _policy(keep_last=1), NOW).removals == ()


def test_a_failed_listing_and_a_lost_ledger_hold_everything() -> None:
    """What was not seen whole is not pruned."""
    listed = plan(_series(4), _policy(keep_last=1), NOW, listing="'/w/x' cannot be listed")
    assert (listed.removals, _holds(listed)) == ((), {"listing_failed"})
    rebuilt = plan(_series(4), _policy(keep_last=1), NOW, rebuilt=True)
    assert (rebuilt.removals, _holds(rebuilt)) == ((), {"ledger_rebuilt"})
    assert "on hold" in _why(rebuilt, 1)
    assert all(h.message and h.cure for h in (*listed.holds, *rebuilt.holds))


@pytest.mark.parametrize(
    ("steps", "held"),
    [
        ([1, 2, 3, 4, 5, 6], False),
        ([3, 4, 5, 1, 2], False),
        ([10, 20, 30, 40, 5, 15, 25], False),
        ([5, 4, 3, 2, 1], True),
        ([3, 1, 2, 5, 4], True),
        ([1, 10, 11, 2, 3, 4], True),
    ],
)
def test_steps_and_save_times_that_disagree_hold(steps: list[int], held: bool) -> None:
    """A job started again is no disorder; a copy without its times is."""
    entries = [
        entry(n, step=s, saved_at=NOW - 100 + n, path=f"/w/ckpt-{s}") for n, s in enumerate(steps)
    ]
    made = plan(entries, _policy(keep_last=1), NOW)
    assert (_holds(made) == {"order_disagrees"}) is held
    assert bool(made.removals) is not held


def test_a_clock_that_was_put_back_holds() -> None:
    """The ledger saw them in the order of their steps, whatever their times say."""
    times = [NOW - 100, NOW - 90, NOW - 80, NOW - 7000, NOW - 6990]
    entries = [
        entry(n, step=n, saved_at=t, path=f"/w/ckpt-{n:02d}", seen=t + 1, sequence=n)
        for n, t in enumerate(times, 1)
    ]
    assert _holds(plan(entries, _policy(keep_last=1), NOW)) == {"order_disagrees"}


def test_tensors_that_differ_hold() -> None:
    """Two models under one name are not versions of each other."""
    entries = [*_series(3, tensors="a"), entry(4, step=4, saved_at=NOW - 1, tensors="b")]
    assert _holds(plan(entries, _policy(keep_last=1), NOW)) == {"tensors_differ"}
    unknown = [*_series(3, tensors="a"), entry(4, step=4, saved_at=NOW - 1)]
    assert _holds(plan(unknown, _policy(keep_last=1), NOW)) == set()


def test_a_streak_of_invalid_ones_holds() -> None:
    """A trainer that writes garbage must not push the last good ones out."""
    bad = [entry(10 + i, state=State.INVALID, step=10 + i, saved_at=NOW - 60 + i) for i in range(3)]
    assert _holds(plan([*_series(4), *bad[:2]], _policy(keep_last=1), NOW)) == set()
    made = plan([*_series(4), *bad], _policy(keep_last=1), NOW)
    assert (made.removals, _holds(made)) == ((), {"invalid_streak"})


def test_a_pile_of_unverified_ones_holds() -> None:
    """When verdicts do not come, nobody knows what the newest good one is."""
    waiting = [
        entry(20 + i, state=State.PENDING, step=20 + i, saved_at=NOW - 60 + i) for i in range(11)
    ]
    assert _holds(plan([*_series(4), *waiting[1:]], _policy(keep_last=1), NOW)) == set()
    assert _holds(plan([*_series(4), *waiting], _policy(keep_last=1), NOW)) == {"unverified"}


def test_a_hold_of_one_series_does_not_stop_another() -> None:
    """Doubt is as narrow as it can be."""
    other = [
        entry(20 + i, step=i, saved_at=NOW - 60 + i, series="b-{}", tensors=str(i // 2))
        for i in range(4)
    ]
    made = plan([*_series(4), *other], _policy(keep_last=1), NOW)
    assert {d.entry.id for d in made.removals} == {1, 2, 3}
    assert {h.series for h in made.holds} == {"b-{}"}
