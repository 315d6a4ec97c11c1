"""Healthy and ready, judged from when each part last made progress."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from checkpointd.observe.health import Progress, WatchProgress, judge
from checkpointd.observe.problems import PROBLEMS, Problem

WATCH = WatchProgress("resnet", reconciled=True)
GOOD = Progress(loop_at=100.0, supervisor_at=100.0, watches=(WATCH,))


def test_all_parts_going_on_is_healthy_and_ready() -> None:
    """No problem is reported where there is none."""
    health = judge(GOOD, 101.0)
    assert (health.healthy, health.ready, health.problems) == (True, True, ())


def test_a_stuck_loop_or_supervisor_is_unhealthy() -> None:
    """These two are what a restart fixes."""
    loop = judge(replace(GOOD, loop_at=50.0), 100.0)
    supervisor = judge(replace(GOOD, supervisor_at=50.0), 100.0)
    assert not loop.healthy
    assert loop.problems[0].reason == "event_loop_stuck"
    assert "event loop" in loop.problems[0].text
    assert not supervisor.healthy
    assert supervisor.problems[0].reason == "supervisor_stuck"
    assert "supervisor" in supervisor.problems[0].text


def test_a_part_that_has_not_started_is_unhealthy() -> None:
    """Before the start is done, nobody may think that all is well."""
    health = judge(Progress(None, None), 0.0)
    assert (health.healthy, health.ready, len(health.problems)) == (False, False, 2)


def test_a_hung_disk_is_reported_and_leaves_the_daemon_healthy_and_not_ready() -> None:
    """A restart would not fix a mount, and would stop the other watches."""
    hung = replace(WATCH, up=False, hung=True, message="The file system has not answered.")
    health = judge(replace(GOOD, watches=(WATCH, hung)), 101.0)
    assert (health.healthy, health.ready) == (True, False)
    text = "Watch resnet is down: The file system has not answered."
    assert health.problems == (Problem("watch_down", text),)


def test_an_unreachable_watch_does_not_hold_up_readiness() -> None:
    """Ready means that every reachable watch was scanned; the message explains why one is not."""
    down = WatchProgress("bert", up=False, message="Stale file handle.")
    health = judge(replace(GOOD, watches=(WATCH, down)), 101.0)
    assert health.ready
    assert health.problems == (Problem("watch_down", "Watch bert is down: Stale file handle."),)


def test_a_watch_that_has_not_looked_at_its_directory_is_not_ready() -> None:
    """Nobody knows yet whether the directory is there: it is neither down nor scanned."""
    begins = WatchProgress("bert", up=False, begins=True, message="It has not scanned yet.")
    health = judge(replace(GOOD, watches=(WATCH, begins)), 101.0)
    assert (health.healthy, health.ready) == (True, False)
    text = "The first scan is not done yet: bert."
    assert health.problems == (Problem("first_scan", text),)


def test_a_watch_still_scanning_is_not_ready() -> None:
    """Readiness comes with the first scan of the last reachable watch."""
    health = judge(replace(GOOD, watches=(replace(WATCH, reconciled=False),)), 101.0)
    assert (health.healthy, health.ready) == (True, False)
    assert "resnet" in health.problems[0].text


@given(
    ages=st.tuples(*[st.none() | st.floats(0, 1000)] * 2),
    watches=st.lists(st.tuples(*[st.booleans()] * 3), max_size=4),
)
def test_ready_implies_healthy_and_bad_news_always_has_words(
    ages: tuple[float | None, float | None],
    watches: list[tuple[bool, bool, bool]],
) -> None:
    """Whatever the state: never ready and unhealthy, never bad without a sentence."""
    now = 1000.0
    loop, supervisor = (None if age is None else now - age for age in ages)
    parts = tuple(
        WatchProgress(f"w{i}", up and not hung, reconciled, hung)
        for i, (up, reconciled, hung) in enumerate(watches)
    )
    health = judge(Progress(loop, supervisor, parts), now)
    assert health.healthy or not health.ready
    assert (health.healthy and health.ready) or health.problems
    assert all(problem.text.endswith(".") for problem in health.problems)
    assert {problem.reason for problem in health.problems} <= set(PROBLEMS)
