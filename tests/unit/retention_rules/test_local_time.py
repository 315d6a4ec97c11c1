"""Calendar periods on the clock of a time zone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.retention_rules.local_time import (
    DAY,
    HOUR,
    MONTH,
    WEEK,
    YEAR,
    Period,
    PeriodFinder,
    zone,
)
from tests.helpers.retention_models import period_of

PLACES = {
    "Europe/Berlin": datetime(2026, 10, 25, tzinfo=UTC),
    "America/Sao_Paulo": datetime(2018, 2, 18, tzinfo=UTC),  # from midnight back to 23:00
    "America/Havana": datetime(2026, 3, 8, tzinfo=UTC),  # from midnight on to 1:00
    "Australia/Lord_Howe": datetime(2026, 4, 4, tzinfo=UTC),  # by half an hour
    "Pacific/Apia": datetime(2011, 12, 30, tzinfo=UTC),  # there was no 30 December
}


@given(
    st.sampled_from([HOUR, DAY, WEEK, MONTH, YEAR]),
    st.sampled_from(sorted(PLACES)),
    st.lists(st.integers(-4 * 200, 4 * 200), min_size=2, max_size=30),
    st.sampled_from([1, 24]),
)
def test_two_times_are_in_one_period_if_their_calendar_says_so(
    period: Period, place: str, quarters: list[int], scale: int
) -> None:
    """However the clocks of the place were changed in between."""
    around = PLACES[place].timestamp()
    times = sorted({around + quarter * 900 * scale for quarter in quarters}, reverse=True)
    finder = PeriodFinder(period, place)
    keys = [finder.key(at) for at in times]
    names = [period_of(at, place, period.name) for at in times]
    for i, key in enumerate(keys):
        for j, other in enumerate(keys):
            assert (key == other) == (names[i] == names[j]), (times[i], times[j])


def test_an_unknown_zone_is_an_error() -> None:
    """`local` is the host's, and UTC is there without a database."""
    assert zone("local") is None
    assert zone("UTC") is UTC
    for name in ("", "Europe", "Mars/Olympus", "/etc/localtime", "a\0b"):
        with pytest.raises(ValueError, match="is not a time zone of the IANA database"):
            zone(name)
