"""The rules that keep what was saved within a time before the newest."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from checkpointd.retention_rules import SavedCheckpoint
from checkpointd.retention_rules.within import (
    KeepWithin,
    KeepWithinDaily,
    KeepWithinHourly,
    KeepWithinMonthly,
)

NOW, HOUR = 100_000_000.0, 3600.0
HOURLY = [SavedCheckpoint(i, NOW - i * HOUR) for i in range(1, 6)]


def test_keep_within_counts_from_the_newest_one() -> None:
    """A job that has stopped loses nothing by waiting."""
    long_after = NOW + 365 * 24 * HOUR
    claimed = KeepWithin(2 * HOUR).claim(HOURLY, long_after)
    assert set(claimed) == {1, 2, 3}
    assert claimed[3] == "it was saved within 2h of the newest valid one (keep_within)"


def test_a_save_time_in_the_future_shortens_nothing() -> None:
    """A clock that ran ahead once must not age all others out at once."""
    future = SavedCheckpoint(9, NOW + 1000 * HOUR)
    claimed = KeepWithin(2 * HOUR).claim([future, *HOURLY], NOW)
    assert set(claimed) == {9, 1, 2, 3}
    assert claimed[9] == "its save time is in the future (keep_within)"
    alone = [SavedCheckpoint(i, NOW + i) for i in range(3, 0, -1)]
    assert set(KeepWithin(1.0).claim(alone, NOW)) == {1, 2, 3}


def test_of_a_span_one_of_each_period_stays_and_the_oldest() -> None:
    """What is beyond the span is not looked at; the oldest of all stays if it is within."""
    half_hours = [SavedCheckpoint(i, 10 * HOUR - i * HOUR / 2) for i in range(1, 8)]
    claimed = KeepWithinHourly(2 * HOUR, "UTC").claim(half_hours, NOW)
    assert set(claimed) == {1, 3, 5}
    assert claimed[3] == (
        "it is the newest valid one of the hour 1970-01-01 08:00 UTC, within 2h of the newest "
        "(keep_within_hourly)"
    )
    claimed = KeepWithinDaily(90 * HOUR, "UTC").claim(half_hours, NOW)
    assert set(claimed) == {1, 7}
    assert (
        claimed[7] == "it is the oldest valid one, within 3d18h of the newest (keep_within_daily)"
    )


def test_periods_are_those_of_the_time_zone() -> None:
    """The turn of the month in Tokyo is nine hours before that in UTC."""
    tokyo = ZoneInfo("Asia/Tokyo")
    times = [datetime(2026, 3, 1, 0, 30, tzinfo=tokyo), datetime(2026, 2, 28, 23, tzinfo=tokyo)]
    saved = [SavedCheckpoint(i, at.timestamp()) for i, at in enumerate(times)]
    saved.append(SavedCheckpoint(2, times[1].timestamp() - 1e7))
    now = times[0].timestamp()
    assert set(KeepWithinMonthly(9e6, "Asia/Tokyo").claim(saved, now)) == {0, 1}
    assert set(KeepWithinMonthly(9e6, "UTC").claim(saved, now)) == {0}
    assert KeepWithinMonthly(9e6).claim([], now) == {}
