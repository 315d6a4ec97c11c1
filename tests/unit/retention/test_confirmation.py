"""Which plans wait until a person has confirmed them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkpointd.config import WatchSettings
from checkpointd.ledger import AcceptedPolicy, PolicyRecords
from checkpointd.retention import plan
from checkpointd.retention.confirmation import confirmed, decide
from checkpointd.retention.policy import policy_text
from tests.helpers.ledger import entry
from tests.helpers.plans import HOUR, NOW, hold_reasons, kept, policy, series

if TYPE_CHECKING:
    from checkpointd.ledger import Entry
    from checkpointd.retention.confirmation import Permission

DAY = 24 * HOUR
NOTHING = PolicyRecords()


def _watch(**keys: Any) -> WatchSettings:
    rules = policy(mode="enforce", **keys)
    return WatchSettings(name="w", path=Path("/w"), retention=rules)


def _decide(
    count: int, records: PolicyRecords, last: int = 0, settings: WatchSettings | None = None
) -> Permission:
    """Decide about `count` checkpoints, whose sequences are their ids."""
    watch = settings or _watch(keep_last=5)
    return decide(watch, plan(_series(count), watch.retention, NOW), records, last, NOW)


def _confirmed(watch: WatchSettings, count: int = 0) -> PolicyRecords:
    """What is recorded once a person has confirmed the plan for `count` checkpoints."""
    return confirmed(watch, plan(_series(count), watch.retention, NOW), NOW, NOTHING)


def _series(count: int) -> list[Entry]:
    return [replace(e, sequence=e.id) for e in series(count)]


def _reasons(permission: Permission) -> list[str]:
    return [hold.reason for hold in permission.holds]


def test_the_first_enforcement_waits_where_something_older_would_go() -> None:
    """The message says what, the cure is the command."""
    first = _decide(8, NOTHING, last=8)
    (hold,) = first.holds
    assert hold.reason == "not_confirmed"
    assert "would remove 3 of 8" in hold.message
    assert "`checkpointd prune w --apply`" in hold.cure
    assert _reasons(_decide(8, first.records, last=8)) == ["not_confirmed"]


def test_a_policy_that_came_before_the_job_needs_nobody() -> None:
    """On an empty directory there is nothing that could be lost unseen."""
    empty = _decide(0, NOTHING)
    assert _reasons(empty) == []
    assert _reasons(_decide(6, empty.records, last=6)) == []


def test_what_a_person_confirmed_is_carried_out() -> None:
    """Also after a restart: the record is in the ledger."""
    records = _confirmed(_watch(keep_last=5))
    assert _decide(8, records, last=8).holds == ()


def test_min_age_hides_nothing_from_the_person() -> None:
    """What would go in an hour is asked about now."""
    watch = _watch(keep_last=5, min_age="1000000000s")
    (hold,) = _decide(8, NOTHING, 8, watch).holds
    assert "would remove 3 of 8" in hold.message


def test_a_tightened_policy_waits_and_the_old_one_comes_back_confirmed() -> None:
    """A slip that is put right costs no second confirmation."""
    before = _confirmed(_watch(keep_last=7))
    changed = _decide(8, before, 8, _watch(keep_last=3))
    assert _reasons(changed) == ["not_confirmed"]
    assert "has changed" in changed.holds[0].message
    later = _decide(9, changed.records, 9, _watch(keep_last=3))
    assert _reasons(later) == ["not_confirmed"]
    back = _decide(9, later.records, 9, _watch(keep_last=7))
    assert back.holds == ()
    assert back.records == before


def test_a_policy_that_keeps_more_is_confirmed_as_the_one_before_was() -> None:
    """And the one before waits again should it return."""
    wider = _decide(8, _confirmed(_watch(keep_last=3)), 8, _watch(keep_last=7))
    assert wider.holds == ()
    assert wider.records.accepted is not None
    assert wider.records.accepted.since is None
    assert _reasons(_decide(8, wider.records, 8, _watch(keep_last=3))) == ["not_confirmed"]


def test_a_changed_policy_that_touches_nothing_older_takes_over() -> None:
    """Once it has removed something, it is the one in force."""
    before = _confirmed(_watch(keep_last=7))
    taken = _decide(8, before, 0, _watch(keep_last=3))
    assert taken.holds == ()
    assert taken.records == PolicyRecords(AcceptedPolicy(policy_text(_watch(keep_last=3)), 0, NOW))


def test_many_removals_wait_whatever_was_confirmed() -> None:
    """More than `max_removals` and more than the share of the watch."""
    records = _confirmed(_watch(keep_last=5))
    assert _reasons(_decide(16, records)) == ["many_removals"]
    assert _reasons(_decide(15, records)) == []
    settings = _watch(keep_last=5, max_removals_percent=80)
    assert _reasons(_decide(16, _confirmed(settings), 0, settings)) == []


def test_what_was_shown_and_only_waits_for_its_age_is_not_asked_about_again() -> None:
    """Who confirmed 45 of 50 an hour ago has seen them."""
    fresh = _watch(keep_last=5, min_age="1000000000s")
    old = _watch(keep_last=5)
    (record,) = (r for r in [_confirmed(fresh, 50).accepted] if r is not None)
    assert len(record.shown) == 45
    records = PolicyRecords(replace(record, policy=policy_text(old)))
    assert _reasons(_decide(50, records)) == []
    assert _reasons(_decide(70, records)) == ["many_removals"]


def test_confirm_never_holds_nothing() -> None:
    """Who does not want to be asked is not asked; what was in force stays known."""
    never = _watch(keep_last=5, confirm="never")
    assert _decide(50, NOTHING, 50, never).holds == ()


def test_keys_that_decide_nothing_do_not_change_a_policy() -> None:
    """Nor do defaults that are written down."""
    text = policy_text(_watch(keep_last=5))
    assert policy_text(_watch(keep_last=5, trash_ttl="1h", max_removals=3)) == text
    assert policy_text(_watch(keep_last=5, min_age="1h")) == text
    assert policy_text(_watch(keep_last=5, min_age="2h")) != text


def _runs(count: int) -> list[Entry]:
    """So many runs of nine saves, each started again at step 1."""
    numbers = [(run, step) for run in range(count) for step in range(1, 10)]
    return [
        entry(
            i, step=step, saved_at=NOW - DAY + i, seen=NOW - DAY + i, sequence=i,
            path=f"/w/ckpt-{step}{'b' * run}",
        )
        for i, (run, step) in enumerate(numbers, 1)
    ]  # fmt: skip


def test_a_person_is_asked_once_for_each_run_that_is_dropped() -> None:
    """Not again for what was pinned or the newest until now, but for the next run, and a copy."""
    watch = _watch(keep_last=1)
    rules = watch.retention
    runs = _runs(3)
    pinned = [replace(runs[0], pinned=True), *runs[1:]]
    assert hold_reasons(plan(pinned, rules, NOW)) == {"older_runs"}
    agreed = plan(pinned, rules, NOW, may_remove_runs=True)
    records = confirmed(watch, agreed, NOW, NOTHING)
    assert {i for i, _ in records.dropped} == set(range(1, 10))
    again = plan(runs, rules, NOW, dropped=records.dropped)
    assert again.holds == ()
    assert 1 in {d.entry.id for d in again.removals}
    copied = [replace(runs[0], sequence=99), *runs[1:]]
    assert 1 in kept(plan(copied, rules, NOW, dropped=records.dropped))
    (hold,) = plan(_runs(4), rules, NOW, dropped=records.dropped).holds
    assert hold.reason == "older_runs"
    assert "/w/ckpt-9b'" in hold.message
    later = confirmed(watch, plan(_runs(4), rules, NOW, may_remove_runs=True), NOW, records)
    assert {i for i, _ in later.dropped} == set(range(1, 19))


def test_the_runs_that_a_person_dropped_are_not_forgotten_with_the_policy() -> None:
    """Neither when it changes, nor when it comes back, nor under `confirm = "never"`."""
    records = replace(_confirmed(_watch(keep_last=5)), dropped=frozenset({(1, 2)}))
    for keys in (
        {"keep_last": 5},
        {"keep_last": 3},
        {"keep_last": 9},
        {"keep_last": 5, "confirm": "never"},
    ):
        after = _decide(2, records, 2, _watch(**keys)).records
        assert after.dropped == records.dropped
