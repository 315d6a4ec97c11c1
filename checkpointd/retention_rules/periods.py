"""Rules that keep the newest checkpoint of each calendar period (UTC)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, ClassVar

from checkpointd.retention_rules.spec import SavedCheckpoint, Value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class _KeepPeriods:
    """The newest of each of the last `n` calendar periods in which anything was saved.

    As with restic, the oldest of all is kept while periods are left over.
    """

    name: ClassVar[str]
    period: ClassVar[str]
    pattern: ClassVar[str]
    n: int

    def claim(self, newest_first: Sequence[SavedCheckpoint], now: float) -> Mapping[int, str]:  # noqa: ARG002 - the rules' signature
        """Claim the newest of each period."""
        claimed: dict[int, str] = {}
        last: str | None = None
        for number, checkpoint in enumerate(newest_first, 1):
            if len(claimed) == self.n:
                break
            label = _label(checkpoint.saved_at, self.pattern)
            if label != last:
                claimed[checkpoint.id] = (
                    f"it is the newest valid one of the {self.period} {label} ({self.name})"
                )
                last = label
            elif number == len(newest_first):
                claimed[checkpoint.id] = f"it is the oldest valid one ({self.name} has slots left)"
        return claimed


@dataclass(frozen=True)
class KeepHourly(_KeepPeriods):
    """The newest of each of the last `n` hours."""

    name, period, pattern = "keep_hourly", "hour", "%Y-%m-%d %H:00 UTC"
    n: Annotated[int, Value.HOURS]


@dataclass(frozen=True)
class KeepDaily(_KeepPeriods):
    """The newest of each of the last `n` days."""

    name, period, pattern = "keep_daily", "day", "%Y-%m-%d UTC"
    n: Annotated[int, Value.DAYS]


def _label(at: float, pattern: str) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).strftime(pattern)
    except (ValueError, OverflowError, OSError):
        return f"of {at:g} s since 1970"
