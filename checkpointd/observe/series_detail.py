"""The history of one series as facts: what its page draws and `/api/v1/series/{id}` returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from checkpointd.core.encode import to_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.core.report import Report
    from checkpointd.observe.series_status import SeriesStatus

MAX_POINTS = 120
"""How many of the last saves are shown."""


@dataclass(frozen=True)
class SeriesPoint:
    """One content that the series had, and its verdict; `id` is None if it is not on disk now."""

    id: int | None
    path: str
    step: int | None
    saved_at: float
    verdict: str
    reason: str
    message: str
    size_bytes: int
    duration_seconds: float
    weight_norm: float | None = None
    predictions_max_abs_difference: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def line(self) -> str:
        """The point in a few words."""
        step = f"step {self.step}: " if self.step is not None else ""
        return f"{step}{self.verdict}{f' ({self.reason})' if self.reason else ''}"

    @classmethod
    def of(cls, identity: int | None, report: Report) -> SeriesPoint:
        """What a report says that can be drawn."""
        checkpoint, facts = report.checkpoint, report.facts
        return cls(
            id=identity,
            path=checkpoint.path,
            step=facts.step if checkpoint.step is None else checkpoint.step,
            saved_at=report.generation.saved_at,
            verdict=str(report.verdict),
            reason=report.reason,
            message=report.message,
            size_bytes=report.generation.size_bytes,
            duration_seconds=report.duration_seconds,
            weight_norm=None if facts.non_finite_values else facts.weight_norm,
            predictions_max_abs_difference=facts.predictions_max_abs_difference,
            metrics={**checkpoint.metrics, **facts.metrics, **facts.evaluation},
        )


@dataclass(frozen=True)
class SeriesDetail:
    """A series, and its last saves that have a verdict, the oldest first."""

    status: SeriesStatus
    points: tuple[SeriesPoint, ...]

    def to_public(self) -> dict[str, Any]:
        """The object of `/api/v1/series/{id}`."""
        return {**self.status.to_public(), "points": [to_json(point) for point in self.points]}
