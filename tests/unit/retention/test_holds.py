"""What puts a series on hold, and what does not."""

from __future__ import annotations

from checkpointd.ledger import State
from checkpointd.retention import plan
from tests.helpers.ledger import entry
from tests.helpers.plans import NOW, hold_reasons, policy, reasons_for, series


def test_a_failed_listing_and_a_lost_ledger_hold_everything() -> None:
    """What was not seen whole is not pruned."""
    listed = plan(series(4), policy(keep_last=1), NOW, listing="'/w/x' cannot be listed")
    assert (listed.removals, hold_reasons(listed)) == ((), {"listing_failed"})
    rebuilt = plan(series(4), policy(keep_last=1), NOW, rebuilt=True)
    assert (rebuilt.removals, hold_reasons(rebuilt)) == ((), {"ledger_rebuilt"})
    assert "on hold" in reasons_for(rebuilt, 1)
    assert all(h.message and h.cure for h in (*listed.holds, *rebuilt.holds))


def test_tensors_that_differ_hold() -> None:
    """Two models under one name are not versions of each other."""
    entries = [*series(3, tensors="a"), entry(4, step=4, saved_at=NOW - 1, tensors="b")]
    assert hold_reasons(plan(entries, policy(keep_last=1), NOW)) == {"tensors_differ"}
    unknown = [*series(3, tensors="a"), entry(4, step=4, saved_at=NOW - 1)]
    assert hold_reasons(plan(unknown, policy(keep_last=1), NOW)) == set()


def test_a_streak_of_invalid_ones_holds() -> None:
    """A trainer that writes garbage must not push the last good ones out."""
    bad = [entry(10 + i, state=State.INVALID, step=10 + i, saved_at=NOW - 60 + i) for i in range(3)]
    assert hold_reasons(plan([*series(4), *bad[:2]], policy(keep_last=1), NOW)) == set()
    planned = plan([*series(4), *bad], policy(keep_last=1), NOW)
    assert (planned.removals, hold_reasons(planned)) == ((), {"invalid_streak"})


def test_a_pile_of_unverified_ones_holds() -> None:
    """When verdicts do not come, nobody knows what the newest good one is."""
    waiting = [
        entry(20 + i, state=State.PENDING, step=20 + i, saved_at=NOW - 60 + i) for i in range(11)
    ]
    assert hold_reasons(plan([*series(4), *waiting[1:]], policy(keep_last=1), NOW)) == set()
    assert hold_reasons(plan([*series(4), *waiting], policy(keep_last=1), NOW)) == {"unverified"}


def test_a_hold_of_one_series_does_not_stop_another() -> None:
    """Doubt is as narrow as it can be."""
    other = [
        entry(20 + i, step=i, saved_at=NOW - 60 + i, series="b-{}", tensors=str(i // 2))
        for i in range(4)
    ]
    planned = plan([*series(4), *other], policy(keep_last=1), NOW)
    assert {d.entry.id for d in planned.removals} == {1, 2, 3}
    assert {h.series for h in planned.holds} == {"b-{}"}
