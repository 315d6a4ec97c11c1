"""Curves and timelines as SVG: pure geometry, that the templates draw.

The drawings stretch to the width of the page; what is written stands beside them as text, so that
it neither stretches nor needs a script. A verdict is a colour and a height, so that it can be
recognised without colours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.core.text import duration, size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from checkpointd.observe.series_detail import SeriesPoint

WIDTH, HEIGHT = 600.0, 120.0
MAX_METRICS = 12
_MARGIN = 8.0
_LOG_RATIO = 1000.0
_LEAST_POINTS = 2
_HEIGHTS = {"valid": 12.0, "inconclusive": 20.0, "invalid": 28.0}
TIMELINE_HEIGHT = 28.0


@dataclass(frozen=True)
class Mark:
    """A point that is not valid, where it lies on the curve."""

    x: float
    y: float
    verdict: str


@dataclass(frozen=True)
class Curve:
    """One value over the saves of a series: `path` is the `d` of an SVG path."""

    title: str
    path: str
    marks: tuple[Mark, ...]
    last: str
    lowest: str
    highest: str
    count: int
    is_log: bool

    @property
    def label(self) -> str:
        """The curve in words, for those who cannot see it."""
        return (
            f"{self.title}: {self.count} values from {self.lowest} to {self.highest}, "
            f"last {self.last}"
        )


@dataclass(frozen=True)
class Bar:
    """One save on the timeline."""

    x: float
    y: float
    width: float
    height: float
    verdict: str
    title: str


def number(value: float) -> str:
    """Write a value with four digits, as short as possible."""
    return f"{value:.4g}"


def timeline(points: Sequence[SeriesPoint]) -> list[Bar]:
    """The verdicts, the oldest first; each save has the same width."""
    step = WIDTH / max(len(points), 12)
    return [
        Bar(
            x=round(i * step, 2),
            y=TIMELINE_HEIGHT - _HEIGHTS.get(point.verdict, TIMELINE_HEIGHT),
            width=round(step * 0.8, 2),
            height=_HEIGHTS.get(point.verdict, TIMELINE_HEIGHT),
            verdict=point.verdict,
            title=point.line,
        )
        for i, point in enumerate(points)
    ]


def curves(points: Sequence[SeriesPoint]) -> list[Curve]:
    """Every curve that has at least two values: metrics first; oldest point first."""
    names = dict.fromkeys(name for point in points for name in point.metrics)
    rows: list[tuple[str, list[float | None], Callable[[float], str]]] = [
        (name, [point.metrics.get(name) for point in points], number)
        for name in sorted(names)[:MAX_METRICS]
    ]
    rows += [
        ("Weight norm", [point.weight_norm for point in points], number),
        (
            "Largest difference of predictions",
            [point.predictions_max_abs_difference for point in points],
            number,
        ),
        ("Size", [float(point.size_bytes) for point in points], size),
        ("Time to verify", [point.duration_seconds for point in points], duration),
    ]
    verdicts = [point.verdict for point in points]
    drawn = (_curve(title, values, verdicts, write) for title, values, write in rows)
    return [curve for curve in drawn if curve is not None]


def _curve(
    title: str,
    values: Sequence[float | None],
    verdicts: Sequence[str],
    write: Callable[[float], str],
) -> Curve | None:
    finite = [v for v in values if v is not None and math.isfinite(v)]
    if len(finite) < _LEAST_POINTS:
        return None
    low, high = min(finite), max(finite)
    is_log = low > 0 and high / low > _LOG_RATIO
    scale = max(abs(low), abs(high)) or 1.0  # the largest floats are further apart than any float

    def place(index: int, value: float) -> tuple[float, float]:
        at, bottom, top = (math.log(v) if is_log else v / scale for v in (value, low, high))
        share = (at - bottom) / (top - bottom) if top > bottom else 0.5
        x = _MARGIN + index / max(len(values) - 1, 1) * (WIDTH - 2 * _MARGIN)
        return round(x, 2), round(HEIGHT - _MARGIN - share * (HEIGHT - 2 * _MARGIN), 2)

    path, marks, pen_is_down = [], [], False
    for index, (value, verdict) in enumerate(zip(values, verdicts, strict=True)):
        if value is None or not math.isfinite(value):
            pen_is_down = False
            continue
        x, y = place(index, value)
        path.append(f"{'L' if pen_is_down else 'M'}{x:g} {y:g}")
        pen_is_down = True
        if verdict != "valid":
            marks.append(Mark(x, y, verdict))
    return Curve(
        title=title,
        path=" ".join(path),
        marks=tuple(marks),
        last=write(finite[-1]),
        lowest=write(low),
        highest=write(high),
        count=len(finite),
        is_log=is_log,
    )
