"""The rules that keep one checkpoint of each calendar period."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from checkpointd.retention_rules import SavedCheckpoint
from checkpointd.retention_rules.periods import (
    KeepDaily,
    KeepHourly,
    KeepMonthly,
    KeepWeekly,
    KeepYearly,
)

if TYPE_CHECKING:
    import pytest

HOUR, DAY = 3600.0, 86400.0
TIMES = (0.0, HOUR, DAY, DAY + HOUR, 3 * DAY, 3 * DAY + 60, 3 * DAY + 2 * HOUR)
NEWEST_FIRST = [SavedCheckpoint(i, at) for i, at in enumerate(TIMES, 1)][::-1]


def test_hours_and_days_keep_the_newest_of_each() -> None:
    """Periods without a checkpoint do not count, and the oldest fills a slot that is left."""
    daily = KeepDaily(2, "UTC").claim(NEWEST_FIRST, 0)
    assert set(daily) == {4, 7}
    assert daily[4] == "it is the newest valid one of the day 1970-01-02 UTC (keep_daily)"
    claimed = KeepDaily(9, "UTC").claim(NEWEST_FIRST, 0)
    assert set(claimed) == {1, 2, 4, 7}
    assert claimed[1] == "it is the oldest valid one (keep_daily has slots left)"
    assert set(KeepHourly(3, "UTC").claim(NEWEST_FIRST, 0)) == {4, 6, 7}


def test_a_time_that_no_calendar_has_is_a_period_by_itself() -> None:
    """A broken clock must not break the plan."""
    odd = SavedCheckpoint(1, 1e20)
    assert "of 1e+20 s since 1970" in KeepDaily(1).claim([odd], 0)[1]


def _saved(*times: datetime) -> list[SavedCheckpoint]:
    """Checkpoints of these times, newest first; ids count from 0 at the first."""
    return [SavedCheckpoint(i, at.timestamp()) for i, at in enumerate(times)]


def test_weeks_begin_on_monday_and_the_year_of_a_week_is_that_of_its_thursday() -> None:
    """As with restic: ISO weeks."""
    saved = _saved(
        datetime(2027, 1, 3, 23, tzinfo=UTC),  # Sunday of the last week of 2026
        datetime(2026, 12, 28, tzinfo=UTC),
        datetime(2026, 12, 27, 23, tzinfo=UTC),
        datetime(2026, 12, 1, tzinfo=UTC),
    )
    claimed = KeepWeekly(2, "UTC").claim(saved, 0)
    assert claimed == {
        0: "it is the newest valid one of the week 2026-W53 (keep_weekly)",
        2: "it is the newest valid one of the week 2026-W52 (keep_weekly)",
    }
    assert set(KeepMonthly(2, "UTC").claim(saved, 0)) == {0, 1}
    assert set(KeepYearly(9, "UTC").claim(saved, 0)) == {0, 1, 3}


def test_a_day_with_daylight_saving_changes_has_23_or_25_hours() -> None:
    """In Berlin the hour from 2 to 3 is missing in March, and there twice in October."""
    for day, hours in ((datetime(2026, 3, 29), 23), (datetime(2026, 10, 25), 25)):  # noqa: DTZ001 - of no zone
        first = day.replace(tzinfo=UTC) - timedelta(hours=3)
        saved = _saved(*(first + timedelta(hours=hour) for hour in range(30, -1, -1)))
        claimed = KeepHourly(99, "Europe/Berlin").claim(saved, 0)
        assert len(claimed) == len(saved)
        assert sum(f"{day:%Y-%m-%d}" in reason for reason in claimed.values()) == hours
        days = KeepDaily(2, "Europe/Berlin").claim(saved, 0)
        of_the_day = min(i for i, reason in claimed.items() if f"{day:%Y-%m-%d}" in reason)
        assert f"{day:%Y-%m-%d}" in days[of_the_day]


def test_the_default_is_the_time_zone_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """What people mean by a day is the day on their clock."""
    saved = _saved(datetime(2026, 7, 2, 3, tzinfo=UTC), datetime(2026, 7, 1, 22, tzinfo=UTC))
    for name, kept in (("America/New_York", {0, 1}), ("Asia/Tokyo", {0, 1})):
        with monkeypatch.context() as patch:
            patch.setenv("TZ", name)
            time.tzset()
            host = KeepDaily(1).claim(saved, 0), KeepDaily(2).claim(saved, 0)
        time.tzset()
        assert host == (
            KeepDaily(1, name).claim(saved, 0),
            KeepDaily(2, name).claim(saved, 0),
        )
        assert set(host[1]) == kept
    assert "2026-07-01 EDT" in KeepDaily(1, "America/New_York").claim(saved, 0)[0]
