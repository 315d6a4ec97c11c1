"""Histories that random ones of `test_simulated_jobs` found, each as small as it can be.

`World` is the simulator of that module: it fails if a plan removes what a person would keep.
"""

from __future__ import annotations

import pytest

from checkpointd.ledger.facts import Earlier
from checkpointd.retention import plan
from tests.helpers.ledger import entry
from tests.helpers.plans import HOUR, NOW, hold_reasons, policy
from tests.helpers.simulated_job import DAY, World

COPIES = {
    "a copy without its time is no save of the job that was started again": [
        ("save", 5), ("prune", 0), ("start again", 0), ("save", 1), ("copy without time", 0),
    ],
    "nor are two of them": [
        ("save", 5), ("prune", 0), ("start again", 0), ("copy without time", 1),
        ("copy without time", 1),
    ],
    "copies without times do not make the run older that they were not saved in": [
        ("save", 5), ("prune", 0), ("save", 1), ("copy without time", 0), ("copy without time", 1),
        ("prune", 0), ("copy without time", 0), ("copy without time", 0),
    ],
    "where a run began is known after its first save was copied back": [
        ("save", 1), ("start again", 0), ("save", 4), ("save", 5), ("prune", 0), ("copy", 0),
    ],
    "the content of a run that was written over": [
        ("save", 4), ("prune", 0), ("start again", 1), ("save", 2), ("prune", 0),
        ("copy without time", 1), ("save", 2),
    ],
    "a run that was written over twice": [
        ("save", 4), ("prune", 0), ("start again", 1), ("save", 2), ("prune", 0),
        ("copy without time", 0), ("save", 2), ("copy without time", 0), ("prune", 0),
        ("copy without time", 1),
    ],
    "copies beside a job whose clock is behind": [
        ("save", 4), ("host", -2 * HOUR), ("prune", 0), ("start again", 0), ("copy", 1),
        ("copy without time", 0),
    ],
}  # fmt: skip

CLOCKS = {
    "started again at the same number with a clock that is behind": [
        ("save", 1), ("host", -2 * HOUR), ("start again", 0), ("host", 0.0), ("save", 2),
    ],
    "started again at the same number with a clock that is ahead": [
        ("save", 1), ("host", 2 * HOUR), ("start again", 0), ("host", 0.0), ("save", 2),
    ],
    "started again twice after a clock was ahead": [
        ("host", 2 * HOUR), ("save", 1), ("host", 0.0), ("start again", 0), ("start again", 0),
        ("save", 1),
    ],
    "started again twice after the daemon's clock was a year behind": [
        ("daemon", -400 * DAY), ("save", 1), ("daemon", 0.0), ("start again", 0),
        ("start again", 0), ("save", 1),
    ],
    "a run with a clock that is behind, and the next one": [
        ("save", 3), ("host", -400 * DAY), ("start again", 0), ("prune", 0), ("copy", 0),
        ("start again", 0),
    ],
    "started again unseen at the same number with a clock that is ahead": [
        ("watch", False), ("save", 1), ("host", 2 * HOUR), ("start again", 0), ("host", 0.0),
        ("watch", True), ("save", 2),
    ],
    "the same with a clock that is behind": [
        ("watch", False), ("save", 1), ("host", -2 * HOUR), ("start again", 0), ("host", 0.0),
        ("watch", True), ("save", 2),
    ],
    "a clock that was ahead at the first save of a run that is found with others": [
        ("save", 1), ("host", 400 * DAY), ("watch", False), ("start again", 0), ("host", 0.0),
        ("save", 2),
    ],
    "started again three times while nobody looked, with a clock that is behind": [
        ("save", 4), ("prune", 0), ("watch", False), ("host", -2 * HOUR), ("start again", 0),
        ("start again", 0), ("start again", 0),
    ],
    "found together with newer numbers and times": [
        ("save", 1), ("watch", False), ("save", 2), ("host", -2 * HOUR), ("start again", 0),
    ],
}  # fmt: skip


@pytest.mark.parametrize("names_repeat", [False, True])
@pytest.mark.parametrize("history", COPIES.values(), ids=COPIES)
def test_copies_take_the_place_of_nothing(
    names_repeat: bool, history: list[tuple[str, float]]
) -> None:
    """Their content says what they are, with or without their times."""
    World(names_repeat).live_through(history)


@pytest.mark.parametrize("names_repeat", [False, True])
@pytest.mark.parametrize("history", CLOCKS.values(), ids=CLOCKS)
def test_a_wrong_clock_joins_no_runs(names_repeat: bool, history: list[tuple[str, float]]) -> None:
    """Where the number fell a job may have been started again, whatever its clock says."""
    World(names_repeat).live_through(history)


def test_a_copy_without_its_time_is_placed_by_the_time_that_it_had() -> None:
    """It fills no slot of today, begins no run and is no disagreement."""
    saves = [
        entry(n, step=n, saved_at=NOW - DAY + n, seen=NOW - DAY + n + 1, sequence=n)
        for n in range(10, 15)
    ]
    original = Earlier(NOW - 9 * DAY, 1)
    back = entry(
        1, step=1, saved_at=NOW - HOUR, seen=NOW - HOUR + 5, first_seen=NOW - 9 * DAY + 1,
        sequence=50, original=original,
    )  # fmt: skip
    planned = plan([*saves, back], policy(keep_daily=1, min_age="1ms"), NOW)
    assert hold_reasons(planned) == set()
    kept = {d.entry.id: d for d in planned.kept}
    assert set(kept) == {1, 14}
    assert {d.run for d in planned.decisions} == {0}
