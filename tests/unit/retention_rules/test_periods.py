"""The rules that keep one checkpoint of each calendar period."""

from __future__ import annotations

from checkpointd.retention_rules import SavedCheckpoint
from checkpointd.retention_rules.periods import KeepDaily, KeepHourly

HOUR, DAY = 3600.0, 86400.0
TIMES = (0.0, HOUR, DAY, DAY + HOUR, 3 * DAY, 3 * DAY + 60, 3 * DAY + 2 * HOUR)
NEWEST_FIRST = [SavedCheckpoint(i, at) for i, at in enumerate(TIMES, 1)][::-1]


def test_hours_and_days_keep_the_newest_of_each() -> None:
    """Periods without a checkpoint do not count, and the oldest fills a slot that is left."""
    daily = KeepDaily(2).claim(NEWEST_FIRST, 0)
    assert set(daily) == {4, 7}
    assert daily[4] == "it is the newest valid one of the day 1970-01-02 UTC (keep_daily)"
    claimed = KeepDaily(9).claim(NEWEST_FIRST, 0)
    assert set(claimed) == {1, 2, 4, 7}
    assert claimed[1] == "it is the oldest valid one (keep_daily has slots left)"
    assert set(KeepHourly(3).claim(NEWEST_FIRST, 0)) == {4, 6, 7}


def test_a_time_that_no_calendar_has_is_a_period_by_itself() -> None:
    """A broken clock must not break the plan."""
    odd = SavedCheckpoint(1, 1e20)
    assert "of 1e+20 s since 1970" in KeepDaily(1).claim([odd], 0)[1]
