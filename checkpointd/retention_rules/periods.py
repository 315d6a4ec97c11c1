"""Rules that keep the newest checkpoint of each calendar period, as many periods as wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

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
class _KeepPeriods:
    """The newest of each of the last `n` calendar periods in which anything was saved.

    As with restic, the oldest of all is kept while periods are left over.
    """

    name: ClassVar[str]
    period: ClassVar[Period]
    n: int
    timezone: Annotated[str, Value.SHARED] = HOST

    def claim(self, newest_first: Sequence[SavedCheckpoint], now: float) -> Mapping[int, str]:  # noqa: ARG002 - the rules' signature
        """Claim the newest of each period."""
        claimed: dict[int, str] = {}
        last: Hashable = None
        finder = PeriodFinder(self.period, self.timezone)
        for number, checkpoint in enumerate(newest_first, 1):
            if len(claimed) == self.n:
                break
            key = finder.key(checkpoint.saved_at)
            if key != last:
                label = finder.label(checkpoint.saved_at)
                claimed[checkpoint.id] = f"it is the newest valid one of the {label} ({self.name})"
                last = key
            elif number == len(newest_first):
                claimed[checkpoint.id] = f"it is the oldest valid one ({self.name} has slots left)"
        return claimed


@dataclass(frozen=True)
class KeepHourly(_KeepPeriods):
    """The newest of each of the last `n` hours."""

    name, period = "keep_hourly", HOUR
    n: Annotated[int, Value.HOURS]


@dataclass(frozen=True)
class KeepDaily(_KeepPeriods):
    """The newest of each of the last `n` days."""

    name, period = "keep_daily", DAY
    n: Annotated[int, Value.DAYS]


@dataclass(frozen=True)
class KeepWeekly(_KeepPeriods):
    """The newest of each of the last `n` ISO weeks, which begin on Monday."""

    name, period = "keep_weekly", WEEK
    n: Annotated[int, Value.WEEKS]


@dataclass(frozen=True)
class KeepMonthly(_KeepPeriods):
    """The newest of each of the last `n` months."""

    name, period = "keep_monthly", MONTH
    n: Annotated[int, Value.MONTHS]


@dataclass(frozen=True)
class KeepYearly(_KeepPeriods):
    """The newest of each of the last `n` years."""

    name, period = "keep_yearly", YEAR
    n: Annotated[int, Value.YEARS]
