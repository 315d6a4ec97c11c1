"""Calendar periods in a time zone: hours, days, ISO weeks, months and years of the local clock."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

HOST = "local"
"""The name that stands for the host's time zone."""


@lru_cache(maxsize=16)
def zone(name: str) -> tzinfo | None:
    """Return a time zone of the IANA database; None stands for the host's.

    Raises:
        ValueError: there is none of that name.
    """
    if name == HOST:
        return None
    if name == "UTC":  # also where the database is not installed
        return UTC
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):
        raise ValueError(
            'is not a time zone of the IANA database, such as "Europe/Berlin" or "UTC"'
        ) from None


@dataclass(frozen=True)
class Period:
    """One kind of period.

    Attributes:
        key: is equal for all local times of one period, and for no other.
        label: how a period is written for people.
        days: how many days of the period are over at a local time.
        margin: by how many seconds time zones may have changed since the period began; such a
            change can be a whole day, as in Samoa in 2011.
    """

    name: str
    key: Callable[[datetime], Hashable]
    label: Callable[[datetime], str]
    days: Callable[[datetime], int]
    margin: float


# The hour that a clock shows twice when daylight saving time ends is two hours: the offset differs.
HOUR = Period(
    "hour",
    lambda at: (at.toordinal(), at.hour, at.utcoffset()),
    lambda at: f"{at:%Y-%m-%d %H:00 %Z}".rstrip(),
    lambda _: 0,
    math.inf,
)
DAY = Period(
    "day",
    datetime.toordinal,
    lambda at: f"{at:%Y-%m-%d %Z}".rstrip(),
    lambda _: 0,
    3 * 3600.0,
)
WEEK = Period(
    "week",
    lambda at: at.isocalendar()[:2],
    lambda at: f"{at:%G-W%V}",
    datetime.weekday,
    25 * 3600.0,
)
MONTH = Period(
    "month",
    lambda at: (at.year, at.month),
    lambda at: f"{at:%Y-%m}",
    lambda at: at.day - 1,
    25 * 3600.0,
)
YEAR = Period(
    "year",
    lambda at: at.year,
    lambda at: f"{at:%Y}",
    lambda at: at.timetuple().tm_yday - 1,
    25 * 3600.0,
)


class PeriodFinder:
    """Finds the period of one time after another, quickly where many are in the same one.

    Args:
        period: the kind of period.
        zone_name: the time zone, as in `timezone`.
    """

    def __init__(self, period: Period, zone_name: str) -> None:
        self._period = period
        self._zone_name = zone_name
        self._key: Hashable = None
        self._since, self._until = math.inf, -math.inf

    def key(self, at: float) -> Hashable:
        """Return what is equal for all times of a period, and for no other."""
        if self._since <= at <= self._until:
            return self._key
        local = _local_time(at, self._zone_name)
        if local is None:
            return ("no calendar has it", at)
        seconds = local.hour * 3600 + local.minute * 60 + local.second
        self._key = self._period.key(local)
        self._since = at - self._period.days(local) * 86400 - seconds + self._period.margin
        self._until = at
        return self._key

    def label(self, at: float) -> str:
        """Write the period of a time for people: `day 2026-10-25 CET`."""
        local = _local_time(at, self._zone_name)
        label = f"of {at:g} s since 1970" if local is None else self._period.label(local)
        return f"{self._period.name} {label}"


def _local_time(at: float, zone_name: str) -> datetime | None:
    """The time on the clock of a zone; None if no calendar has it."""
    try:
        return datetime.fromtimestamp(math.floor(at), UTC).astimezone(zone(zone_name))
    except (ValueError, OverflowError, OSError):
        return None
