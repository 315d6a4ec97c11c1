"""The rules of a policy: each says which checkpoints of one series it wants kept, and why.

Rules are pure and know nothing of each other; a checkpoint stays if any rule wants it. They are
shown only the checkpoints that may fill a slot: valid ones that have shown what is required.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal, Protocol

from checkpointd.config.units import format_duration
from checkpointd.retention.words import runs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from checkpointd.config import RetentionSettings
    from checkpointd.ledger import Entry


class Rule(Protocol):
    """One line of `[watch.retention]`."""

    @property
    def name(self) -> str:
        """The key in the config."""
        ...

    def claim(self, newest_first: Sequence[Entry], now: float) -> Mapping[int, str]:
        """What to keep of one series, with the reason, by the entry's id.

        Args:
            newest_first: the checkpoints that may fill a slot, newest saved first.
            now: seconds since the epoch.
        """
        ...


@dataclass(frozen=True)
class KeepLast:
    """The `n` newest."""

    n: int
    name: str = "keep_last"

    def claim(self, newest_first: Sequence[Entry], now: float) -> Mapping[int, str]:  # noqa: ARG002 - the rules' signature
        """Claim the first `n`."""
        return {
            e.id: f"it is number {i} of the {self.n} newest valid ones ({self.name} = {self.n})"
            for i, e in enumerate(newest_first[: self.n], 1)
        }


@dataclass(frozen=True)
class KeepWithin:
    """Those saved less than `seconds` before the newest that is not in the future.

    Measured from the newest and not from now: a job that has stopped loses nothing by waiting.
    What claims to be from the future is kept.
    """

    seconds: float
    name: str = "keep_within"

    def claim(self, newest_first: Sequence[Entry], now: float) -> Mapping[int, str]:
        """Claim what is young enough."""
        past = [e.saved_at for e in newest_first if e.saved_at <= now]
        since = max(past) - self.seconds if past else -math.inf
        window = format_duration(self.seconds)
        reason = f"it was saved within {window} of the newest valid one ({self.name})"
        return {
            e.id: reason if e.saved_at <= now else f"its save time lies in the future ({self.name})"
            for e in newest_first
            if e.saved_at >= since
        }


@dataclass(frozen=True)
class KeepPeriods:
    """The newest of each of the last `n` calendar periods (UTC) in which anything was saved.

    As with restic, the oldest of all is kept while periods are left over.
    """

    n: int
    name: str
    period: str
    pattern: str

    def claim(self, newest_first: Sequence[Entry], now: float) -> Mapping[int, str]:  # noqa: ARG002 - the rules' signature
        """Claim the newest of each period."""
        claimed: dict[int, str] = {}
        last: str | None = None
        for number, entry in enumerate(newest_first, 1):
            label = _label(entry.saved_at, self.pattern)
            if label != last and len(claimed) < self.n:
                claimed[entry.id] = (
                    f"it is the newest valid one of the {self.period} {label} ({self.name})"
                )
                last = label
            elif number == len(newest_first) and len(claimed) < self.n:
                claimed[entry.id] = f"it is the oldest valid one ({self.name} has slots left)"
        return claimed


def keep_hourly(n: int) -> KeepPeriods:
    """The newest of each of the last `n` hours."""
    return KeepPeriods(n, "keep_hourly", "hour", "%Y-%m-%d %H:00 UTC")


def keep_daily(n: int) -> KeepPeriods:
    """The newest of each of the last `n` days."""
    return KeepPeriods(n, "keep_daily", "day", "%Y-%m-%d UTC")


@dataclass(frozen=True)
class KeepEveryNSteps:
    """The first at or after each multiple of `n` steps, in each run; needs a step."""

    n: int
    name: str = "keep_every_n_steps"

    def claim(self, newest_first: Sequence[Entry], now: float) -> Mapping[int, str]:  # noqa: ARG002 - the rules' signature
        """Claim the lowest step of each stretch of `n`."""
        claimed: dict[int, str] = {}
        for run in runs_of(newest_first[::-1]):
            seen: set[int] = set()
            for entry in run:
                step = entry.step
                if step is not None and step // self.n not in seen:
                    seen.add(step // self.n)
                    claimed[entry.id] = (
                        f"step {step} is the first from {step // self.n * self.n} on ({self.name})"
                    )
        return claimed


@dataclass(frozen=True)
class KeepBest:
    """The `n` best by a metric; NaN, infinite and missing are never best, ties go to the newer."""

    n: int
    metric: str
    mode: Literal["min", "max"]
    name: str = "keep_best"

    def claim(self, newest_first: Sequence[Entry], now: float) -> Mapping[int, str]:  # noqa: ARG002 - the rules' signature
        """Claim the best."""
        sign = 1 if self.mode == "min" else -1
        ranked = sorted(
            (sign * value, age, entry)
            for age, entry in enumerate(newest_first)
            if math.isfinite(value := metric_of(entry, self.metric))
        )
        return {
            entry.id: (
                f"it is number {i} of the {self.n} best by {self.metric}, "
                f"{metric_of(entry, self.metric):.6g} ({self.name})"
            )
            for i, (_, _, entry) in enumerate(ranked[: self.n], 1)
        }


def metric_of(entry: Entry, metric: str) -> float:
    """A checkpoint's metric: the golden record's, else the name's; NaN if it has none."""
    for source in (entry.report.facts.metrics if entry.report else {}, entry.checkpoint.metrics):
        if metric in source:
            return source[metric]
    return math.nan


def rules_of(policy: RetentionSettings) -> tuple[Rule, ...]:
    """The rules that a policy sets."""
    best = policy.keep_best
    made: list[Rule] = []
    simple: tuple[tuple[int | None, Callable[[int], Rule]], ...] = (
        (policy.keep_last, KeepLast),
        (policy.keep_hourly, keep_hourly),
        (policy.keep_daily, keep_daily),
        (policy.keep_every_n_steps, KeepEveryNSteps),
    )
    made.extend(make(n) for n, make in simple if n is not None)
    if policy.keep_within is not None:
        made.append(KeepWithin(policy.keep_within))
    if best is not None:
        made.append(KeepBest(best.n, best.metric, best.mode))
    return tuple(made)


def _label(at: float, pattern: str) -> str:
    try:
        return datetime.fromtimestamp(at, UTC).strftime(pattern)
    except (ValueError, OverflowError, OSError):
        return f"of {at:g} s since 1970"
