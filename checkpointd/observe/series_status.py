"""One series as facts: what the page, the API and `status` report about it, from its summary."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkpointd.core.encode import to_json
from checkpointd.observe.save_interval import save_interval

if TYPE_CHECKING:
    from checkpointd.ledger import CheckpointSummary, SeriesSummary

_QUIET_INTERVALS = 4.0
_QUIET_SECONDS = 600.0
_ENDED_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class NextRemoval:
    """What the policy removes of a series: `count` checkpoints, the first of them at `path`.

    `is_delayed`: the first one is still too young (`min_age`). `reason` is why it goes.
    """

    id: int
    path: str
    step: int | None
    saved_at: float
    count: int
    size_bytes: int
    is_delayed: bool
    reason: str


@dataclass(frozen=True)
class SeriesStatus:
    """One series; times are seconds since the epoch, what is None is not known.

    `state` is the state of `newest_verified`, else that of `newest`. `last_valid_at` is when the
    last valid one was saved, also one that is not on disk any more; 0 if there never was one.
    `usual_interval` is the median of the seconds between its last saves; `is_quiet`: the next one
    is overdue by that, since less than a day.
    """

    id: str
    watch: str
    series: str
    state: str
    newest: CheckpointSummary | None
    newest_verified: CheckpointSummary | None
    newest_valid: CheckpointSummary | None
    last_valid_at: float
    last_valid_step: int | None
    not_valid: int
    not_valid_since: float | None
    usual_interval: float | None
    is_quiet: bool
    count: int
    retained_bytes: int
    next_removal: NextRemoval | None = None

    @classmethod
    def of(
        cls, summary: SeriesSummary, now: float, removal: NextRemoval | None = None
    ) -> SeriesStatus:
        """The status of a series at a moment, and what its policy removes next."""
        known = summary.newest_verified or summary.newest
        interval = save_interval(summary.saves)
        return cls(
            id=series_id(summary.watch, summary.series),
            watch=summary.watch,
            series=summary.series,
            state=str(known.state) if known else "gone",
            newest=summary.newest,
            newest_verified=summary.newest_verified,
            newest_valid=summary.newest_valid,
            last_valid_at=summary.last_valid,
            last_valid_step=summary.last_valid_step,
            not_valid=summary.not_valid,
            not_valid_since=summary.not_valid_since,
            usual_interval=interval,
            is_quiet=_is_quiet(summary.newest, interval, now),
            count=summary.count,
            retained_bytes=summary.retained_bytes,
            next_removal=removal,
        )

    def to_public(self) -> dict[str, Any]:
        """The object of `/api/v1/series`."""
        public: dict[str, Any] = to_json(self)
        return public


def series_id(watch: str, series: str) -> str:
    """What addresses a series in a URL, whatever its name is."""
    text = f"{watch}\0{series}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:16]


def _is_quiet(newest: CheckpointSummary | None, interval: float | None, now: float) -> bool:
    if newest is None or interval is None:
        return False
    overdue = now - newest.saved_at
    allowed = max(_QUIET_SECONDS, _QUIET_INTERVALS * interval)
    return allowed < overdue < allowed + _ENDED_SECONDS
