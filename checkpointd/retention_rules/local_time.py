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
    """One kind of period; times are equal by `key` if and only if they are in the same one."""

    name: str
    key: Callable[[datetime], Hashable]
    label: Callable[[datetime], str]


# The hour that a clock shows twice when daylight saving time ends is two hours: the offset differs.
HOUR = Period(
    "hour",
    lambda at: (at.toordinal(), at.hour, at.utcoffset()),
    lambda at: f"{at:%Y-%m-%d %H:00 %Z}".rstrip(),
)
DAY = Period("day", datetime.toordinal, lambda at: f"{at:%Y-%m-%d %Z}".rstrip())
WEEK = Period("week", lambda at: at.isocalendar()[:2], lambda at: f"{at:%G-W%V}")
MONTH = Period("month", lambda at: (at.year, at.month), lambda at: f"{at:%Y-%m}")
YEAR = Period("year", lambda at: at.year, lambda at: f"{at:%Y}")


def local_time(at: float, name: str) -> datetime | None:
    """Return a time on the clock of a zone; None if no calendar has it.

    Args:
        at: seconds since the epoch.
        name: the zone, as in `timezone`.
    """
    try:
        return datetime.fromtimestamp(math.floor(at), UTC).astimezone(zone(name))
    except (ValueError, OverflowError, OSError):
        return None


def period_key(period: Period, at: float, name: str) -> Hashable:
    """Return what is equal for all times of a period, and for no other."""
    local = local_time(at, name)
    return ("no calendar has it", at) if local is None else period.key(local)


def period_label(period: Period, at: float, name: str) -> str:
    """Write the period of a time for people: `day 2026-10-25`."""
    local = local_time(at, name)
    label = f"of {at:g} s since 1970" if local is None else period.label(local)
    return f"{period.name} {label}"
