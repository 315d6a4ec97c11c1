"""Which checkpoint is newer than which: number, save time and the order of being seen, two by two.

Each test is an everyday situation: clocks that are wrong, copies that keep no times, restarts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from checkpointd.ledger import State
from checkpointd.ledger.facts import Earlier
from checkpointd.retention import plan
from checkpointd.retention.save_numbers import number_of
from checkpointd.retention.series_order import order_series
from tests.helpers.ledger import entry
from tests.helpers.plans import HOUR, NOW, hold_reasons, kept, policy, reasons_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.ledger import Entry

DAY = 24 * HOUR
YEAR = 365 * DAY


def live(
    numbers: Sequence[int],
    *,
    start: float = NOW - 50 * HOUR,
    ahead: float = 0.0,
    first: int = 1,
    name: str = "/w/ckpt-{}",
    daemon_ahead: float = 0.0,
) -> list[Entry]:
    """Saves that the daemon saw one by one, a minute apart, by a clock that is `ahead`."""
    return [
        entry(
            first + i,
            step=number,
            saved_at=start + 60 * i + ahead,
            seen=start + 60 * i + 1 + daemon_ahead,
            sequence=first + i,
            path=name.format(number),
        )
        for i, number in enumerate(numbers)
    ]


def together(
    numbers: Sequence[int], times: Sequence[float] | None = None, *, sequence: int = 1
) -> list[Entry]:
    """What one listing found; copied one after the other in this order without `times`."""
    times = times or [NOW - 50 * HOUR + 2 * i for i in range(len(numbers))]
    return [
        entry(
            100 * sequence + i,
            step=number,
            saved_at=at,
            seen=NOW - 40 * HOUR,
            sequence=sequence,
            path=f"/w/ckpt-{number}",
        )
        for i, (number, at) in enumerate(zip(numbers, times, strict=True))
    ]


def left(entries: Sequence[Entry], **keys: object) -> set[int | None]:
    """The steps that a plan keeps."""
    planned = plan(entries, policy(**{"keep_last": 3, **keys}), NOW)
    return {d.entry.step for d in planned.kept}


def holds(entries: Sequence[Entry], **keys: object) -> set[str]:
    """The holds of a plan."""
    return hold_reasons(plan(entries, policy(**{"keep_last": 3, **keys}), NOW))


def test_a_save_time_that_was_corrected_places_a_copy_among_its_neighbours() -> None:
    """Found with the time of its copy, and then given its own with `touch -d`."""
    entries = [
        entry(n, step=n, saved_at=NOW - (9 - n) * HOUR, seen=NOW - 60, sequence=1)
        for n in (6, 7, 8)
    ]
    wrong = Earlier(NOW - 60, 1)
    copied = entry(
        2,
        step=2,
        saved_at=NOW - 7 * HOUR,
        first_seen=NOW - 60,
        seen=NOW - 30,
        sequence=2,
        original=wrong,
        before=(wrong,),
    )
    (order,) = order_series([*entries, copied], NOW).values()
    assert [e.step for e in order.newest_first] == [8, 7, 6, 2]
    assert "save time" not in order.newest_by().get(2, "")


def test_versions_copied_in_any_order_without_times_are_held() -> None:
    """A parallel copy of twelve exports: TensorFlow Serving serves 12, whatever its time is."""
    order = [12, 1, 10, 3, 2, 11, 5, 4, 8, 6, 9, 7]
    for copied in (together(order), live(order)):
        assert holds(copied) == {"order_disagrees"}
        assert left(copied) == set(range(1, 13))
        assert left(copied, order="number") >= {10, 11, 12}


def test_a_copy_in_the_order_of_names_is_held() -> None:
    """`cp` and rsync copy `ckpt-10` before `ckpt-2`, which looks like a restart at 2."""
    order = [1, 10, 11, 12, 2, 3, 4]
    assert holds(live(order)) == holds(together(order)) == {"order_disagrees"}


def test_a_clock_a_day_ahead_makes_nothing_the_newest() -> None:
    """Set right after ckpt-5: those five stay and fill no slot."""
    entries = [*live(range(1, 6), ahead=DAY), *live(range(6, 15), first=6, start=NOW - 40 * HOUR)]
    planned = plan(entries, policy(keep_last=5), NOW)
    assert planned.holds == ()
    assert kept(planned) == {1, 2, 3, 4, 5, 10, 11, 12, 13, 14}
    assert "is later than it was seen" in reasons_for(planned, 1)


def test_while_the_clock_of_the_newest_is_ahead_the_series_is_held() -> None:
    """Its save times say nothing, and a person should know."""
    assert holds(live(range(1, 9), ahead=YEAR)) == {"save_time_wrong"}
    assert holds(live(range(1, 9), ahead=20)) == set()


def test_a_clock_a_year_behind_is_a_disagreement() -> None:
    """The number and the order of being seen say 8 is newer than 7, save time the opposite."""
    entries = [*live([5, 6, 7]), *live(range(8, 13), first=8, start=NOW - 40 * HOUR, ahead=-YEAR)]
    planned = plan(entries, policy(keep_last=3), NOW)
    assert hold_reasons(planned) == {"order_disagrees"}
    (hold,) = planned.holds
    assert "/w/ckpt-8" in hold.message
    assert "/w/ckpt-7" in hold.message
    assert "By number and the order in which they were first seen" in hold.message
    assert "order" in hold.cure


def test_the_daemons_clock_was_put_forward_and_back() -> None:
    """What was saved and seen a year ahead is not believed once the clock is right again."""
    ahead = live(range(1, 6), ahead=YEAR, daemon_ahead=YEAR)
    right = live(range(6, 12), first=6, start=NOW - 40 * HOUR)
    planned = plan([*ahead, *right], policy(keep_last=2), NOW)
    assert kept(planned) == {1, 2, 3, 4, 5, 10, 11}
    assert planned.holds == ()
    a_year_later = plan([*ahead, *right], policy(keep_last=2), NOW + 2 * YEAR)
    assert kept(a_year_later) == kept(planned)


def test_the_daemons_clock_was_put_back_for_a_while() -> None:
    """Those seen meanwhile are in the right order by number and sight; nothing newer is lost."""
    entries = [
        *live(range(1, 6)),
        *live(range(6, 9), first=6, start=NOW - 45 * HOUR, daemon_ahead=-YEAR),
        *live(range(9, 12), first=9, start=NOW - 40 * HOUR),
    ]
    assert left(entries, keep_last=2) >= {6, 7, 8, 10, 11}


def test_times_of_zero_fill_no_slot() -> None:
    """An archive without times: each file is from 1970."""
    entries = [*together([1, 2, 3, 4], [0.0] * 4), *live([5, 6, 7, 8], first=500)]
    assert left(entries) == {1, 2, 3, 4, 6, 7, 8}


def test_one_time_for_all_says_nothing() -> None:
    """`tar --mtime`, a checkout: the number alone does not decide."""
    entries = together([1, 2, 3, 4, 5], [NOW - 60 * HOUR] * 5)
    planned = plan(entries, policy(keep_last=1), NOW)
    assert planned.removals == ()
    assert "5 found together have the same save time" in reasons_for(planned, 100)


def test_found_together_where_number_and_time_agree_is_pruned() -> None:
    """The ordinary first start on a directory that is there already."""
    entries = together(range(1, 9))
    assert holds(entries) == set()
    assert left(entries) == {6, 7, 8}


def test_a_restart_that_nobody_saw_is_held() -> None:
    """Number and save time disagree, and both runs were found in one listing."""
    entries = together([96, 97, 98, 99, 100, 1, 2, 3, 4])
    assert holds(entries) == {"order_disagrees"}
    assert left(entries) == {96, 97, 98, 99, 100, 1, 2, 3, 4}
    assert left(entries, order="save_time") == {2, 3, 4, 100}


def test_a_restart_that_was_seen_begins_a_run() -> None:
    """The trained run keeps its newest, and the new run has its own slots."""
    entries = [*live(range(90, 101)), *live(range(6), first=200, start=NOW - 30 * HOUR)]
    assert holds(entries) == set()
    assert left(entries) == {98, 99, 100, 3, 4, 5}


def test_a_restart_after_names_were_written_again_begins_a_run() -> None:
    """Run 2 overwrote 97 to 99 of run 1: what is left of run 1 is no part of it."""
    first = live(range(94, 97))
    second = [
        entry(
            50 + n,
            step=n,
            saved_at=NOW - 30 * HOUR + n,
            path=f"/w/ckpt-{n}",
            seen=NOW - 30 * HOUR + n + 1,
            first_seen=NOW - 49 * HOUR + n,
            sequence=n,
        )
        for n in (97, 98, 99)
    ]
    assert left([*first, *second]) == {94, 95, 96, 97, 98, 99}


def test_where_a_run_began_is_known_after_its_first_saves_are_gone() -> None:
    """Run 1 ended at 50; of run 2 only 60 to 62 are left, and what went is in the ledger."""
    first = live([48, 49, 50])
    second = live(range(1, 63), first=200, start=NOW - 30 * HOUR, name="/w/b/ckpt-{}")
    went = [
        entry(
            e.id, step=e.step, saved_at=e.saved_at, seen=e.seen, sequence=e.sequence,
            state=State.TRASHED, path=e.path,
        )
        for e in second[:-3]
    ]  # fmt: skip
    assert left([*first, *went, *second[-3:]]) == {48, 49, 50, 60, 61, 62}
    assert left([*first, *second[-3:]]) == {60, 61, 62}


def test_a_restart_from_a_middle_checkpoint_leaves_the_branch_that_it_left() -> None:
    """Started again from 50 under other names: 98 to 100 stay beside the new run."""
    entries = [
        *live(range(1, 101)),
        *live(range(51, 60), first=200, start=NOW - 30 * HOUR, name="/w/ckpt-{}b"),
    ]
    assert left(entries) == {98, 99, 100, 57, 58, 59}


def test_an_old_one_copied_back_is_not_pushed_out_by_those_that_were_there() -> None:
    """With its times: to resume from it. Ones first seen after it may push it out.

    Where its content was not known before, a job whose clock is behind may have been started again
    instead: then 98 to 100 are the newest of the run before.
    """
    entries = live(range(90, 101))
    back = entry(
        900, step=40, saved_at=NOW - 4 * DAY, seen=NOW - 20 * HOUR, sequence=900, path="/w/ckpt-40"
    )
    assert left([*entries, back]) == {40, 98, 99, 100}
    later = live(range(101, 104), first=901, start=NOW - 10 * HOUR)
    planned = plan([*entries, back, *later], policy(keep_last=3), NOW)
    assert {d.entry.step for d in planned.kept} == {98, 99, 100, 101, 102, 103}
    assert "if a job was started again while its clock was behind" in reasons_for(planned, 11)
    known = replace(back, original=Earlier(back.saved_at, 1))
    assert left([*entries, known]) == {40, 98, 99, 100}
    assert left([*entries, known, *later]) == {101, 102, 103}


def test_an_old_one_copied_back_without_its_times_takes_nothing_away() -> None:
    """It looks like a run that began at 40; the run that was there stays as it is."""
    back = live([40], first=900, start=NOW - 20 * HOUR)
    assert left([*live(range(90, 101)), *back]) == {40, 98, 99, 100}


def test_two_jobs_in_one_directory_are_held() -> None:
    """Their steps rise and fall in turn, which no restart does."""
    interleaved = [n for i in range(6) for n in (1000 + 10 * i, 10 * i)]
    assert holds(live(interleaved)) == {"order_disagrees"}


def test_names_without_a_number_found_together_are_kept() -> None:
    """Only their save time would tell, and save time alone never decides."""
    entries = [
        entry(i, saved_at=NOW - 90 * HOUR + i, seen=NOW - 50 * HOUR, sequence=1)
        for i in range(1, 5)
    ]
    for e in entries:
        object.__setattr__(e.checkpoint, "version", "0.5")
    planned = plan(entries, policy(keep_last=1), NOW)
    assert planned.removals == ()
    assert "only save time says" in reasons_for(planned, 2)
    assert left(entries, keep_last=1, order="save_time") == {None}


def test_stamps_counters_and_milliseconds_of_tensorflow_serving_are_compared() -> None:
    """Mixed kinds of versions whose numbers rise with time are in order, others are held."""
    versions = [1, 2, 3, 20260101, 1764000000, 1764003600, 1764007200000]
    assert left(live(versions)) == set(versions[-3:])
    assert holds(live([1764000000, 1764003600, 20260101, 20260102, 4, 5])) == {"order_disagrees"}


@pytest.mark.parametrize(
    ("version", "step", "number"),
    [
        ("12", None, (12,)),
        ("12", 12, (12,)),
        ("03-500", 500, (3, 500)),
        ("20261025-120000", None, (20261025120000,)),
        ("2026-10-25_12-00", None, (20261025120000,)),
        ("2026-10-25T12:00:01Z", None, (20261025120001,)),
        ("1764000000123", None, (1764000000123,)),
        ("0.53", None, None),
        ("", 7, (7,)),
        ("", None, None),
        ("best", None, None),
    ],
)
def test_the_number_of_a_name(version: str, step: int | None, number: object) -> None:
    """Steps, epochs with the step in them, versions, unix times and time stamps."""
    assert number_of(version, step, {}) == number


def test_runs_that_are_too_old_go_as_a_whole_and_only_with_consent() -> None:
    """`keep_runs = 2`: the first of three runs goes once the two others have what is asked."""
    runs = [
        *live(range(1, 6)),
        *live(range(5), first=100, start=NOW - 40 * HOUR),
        *live(range(2), first=200, start=NOW - 30 * HOUR),
    ]
    planned = plan(runs, policy(keep_last=3), NOW)
    assert planned.holds == ()
    assert kept(planned) == {3, 4, 5, 102, 103, 104, 200, 201}
    runs += live(range(2, 5), first=202, start=NOW - 29 * HOUR)
    planned = plan(runs, policy(keep_last=3), NOW)
    assert hold_reasons(planned) == {"older_runs"}
    assert {3, 4, 5} <= kept(planned)
    assert {100, 101, 200, 201} == {d.entry.id for d in planned.removals if d.entry.id >= 100}
    agreed = plan(runs, policy(keep_last=3), NOW, may_remove_runs=True)
    assert kept(agreed) == {5, 102, 103, 104, 202, 203, 204}  # 5 is the highest number
    assert reasons_for(agreed, 4) == "its run is older than the newest 2 (keep_runs = 2)"
    assert kept(plan(runs, policy(keep_last=3, keep_runs=3), NOW)) == {3, 4, 5} | kept(agreed)
    tagged = [replace(e, tags=frozenset({"prod"})) if e.id == 2 else e for e in runs]
    asked = policy(keep_last=3, keep_tags=["prod"])
    assert kept(plan(tagged, asked, NOW, may_remove_runs=True)) == {2} | kept(agreed)


def test_the_newest_by_each_witness_stays() -> None:
    """Whatever the rules say."""
    entries = [
        *live(range(1, 8)),
        *live([99], first=50, start=NOW - 90 * DAY, daemon_ahead=89 * DAY),
    ]
    (order,) = order_series(entries, NOW).values()
    assert set(order.newest_by()) == {50, 7}
