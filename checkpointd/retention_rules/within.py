"""Rules that keep what was saved within a time before the newest: all of it, or one a period."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from checkpointd.core.text import exact_duration
from checkpointd.retention_rules.local_time import (
    DAY,
    HOST,
    HOUR,
    MONTH,
    WEEK,
    YEAR,
    Period,
    PeriodFinder,
)
from checkpointd.retention_rules.spec import SavedCheckpoint, Value

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping, Sequence


@dataclass(frozen=True)
class KeepWithin:
    """Those saved at most `seconds` before the newest that is not in the future.

    Measured from the newest and not from now: a job that has stopped loses nothing by waiting.
    A checkpoint with a save time in the future is kept.
    """

    name: ClassVar[str] = "keep_within"
    seconds: Annotated[float, Value.DURATION]

    def claim(self, newest_first: Sequence[SavedCheckpoint], now: float) -> Mapping[int, str]:
        """Claim what is young enough."""
        since = _since(newest_first, self.seconds, now)
        span = exact_duration(self.seconds)
        within = f"it was saved within {span} of the newest valid one ({self.name})"
        future = f"its save time is in the future ({self.name})"
        return {
            c.id: within if c.saved_at <= now else future
            for c in newest_first
            if c.saved_at >= since
        }


@dataclass(frozen=True)
class _KeepWithinPeriods:
    """The newest of each calendar period, of those saved at most `seconds` before the newest.

    As with restic, the oldest of all is kept too if it was saved in that time.
    """

    name: ClassVar[str]
    period: ClassVar[Period]
    seconds: Annotated[float, Value.DURATION]
    timezone: Annotated[str, Value.SHARED] = HOST

    def claim(self, newest_first: Sequence[SavedCheckpoint], now: float) -> Mapping[int, str]:
        """Claim the newest of each period."""
        since = _since(newest_first, self.seconds, now)
        claimed: dict[int, str] = {}
        last: Hashable = None
        finder = PeriodFinder(self.period, self.timezone)
        span = exact_duration(self.seconds)
        for number, checkpoint in enumerate(newest_first, 1):
            if checkpoint.saved_at < since:
                continue
            key = finder.key(checkpoint.saved_at)
            if key != last:
                label = finder.label(checkpoint.saved_at)
                claimed[checkpoint.id] = (
                    f"it is the newest valid one of the {label}, within {span} of the newest "
                    f"({self.name})"
                )
                last = key
            elif number == len(newest_first):
                claimed[checkpoint.id] = (
                    f"it is the oldest valid one, within {span} of the newest ({self.name})"
                )
        return claimed


@dataclass(frozen=True)
class KeepWithinHourly(_KeepWithinPeriods):
    """The newest of each hour."""

    name, period = "keep_within_hourly", HOUR


@dataclass(frozen=True)
class KeepWithinDaily(_KeepWithinPeriods):
    """The newest of each day."""

    name, period = "keep_within_daily", DAY


@dataclass(frozen=True)
class KeepWithinWeekly(_KeepWithinPeriods):
    """The newest of each ISO week."""

    name, period = "keep_within_weekly", WEEK


@dataclass(frozen=True)
class KeepWithinMonthly(_KeepWithinPeriods):
    """The newest of each month."""

    name, period = "keep_within_monthly", MONTH


@dataclass(frozen=True)
class KeepWithinYearly(_KeepWithinPeriods):
    """The newest of each year."""

    name, period = "keep_within_yearly", YEAR


def _since(newest_first: Sequence[SavedCheckpoint], seconds: float, now: float) -> float:
    """The earliest save time that is within `seconds` of the newest that is not in the future."""
    past = [c.saved_at for c in newest_first if c.saved_at <= now]
    return max(past) - seconds if past else -math.inf
