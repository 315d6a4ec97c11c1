"""The page of one series and the page of one checkpoint; the templates only lay them out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from checkpointd.core.text import encodable
from checkpointd.observe.web.attention import series_todos
from checkpointd.observe.web.charts import HEIGHT, TIMELINE_HEIGHT, WIDTH, curves, timeline
from checkpointd.observe.web.templating import render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.observe.series_detail import SeriesDetail

MAX_LISTED = 30
"""How many of the last saves the table of a series lists."""

MAX_TENSORS = 200
"""How many tensors the page of a checkpoint lists; the API has more."""

_MAX_DETAIL = 2000


def render_series(detail: SeriesDetail, now: float) -> str:
    """Lay the page of a series out.

    Args:
        detail: the series and its last saves.
        now: seconds since the epoch.
    """
    return render(
        "series.html.j2",
        now,
        one=detail.status,
        todos=series_todos(detail.status, now),
        points=detail.points,
        listed=detail.points[::-1][:MAX_LISTED],
        bars=timeline(detail.points),
        curves=curves(detail.points),
        width=WIDTH,
        height=HEIGHT,
        timeline_height=TIMELINE_HEIGHT,
    )


def render_checkpoint(detail: Mapping[str, Any], now: float) -> str:
    """Lay the page of a checkpoint out.

    Args:
        detail: the object of `/api/v1/checkpoints/{id}`.
        now: seconds since the epoch.
    """
    tensors = detail.get("tensors") or []
    return render(
        "checkpoint.html.j2",
        now,
        one=detail,
        facts=detail.get("facts") or {},
        checks=[(check, _details(check)) for check in detail.get("checks") or []],
        tensors=tensors[:MAX_TENSORS],
        left_out=(detail.get("tensors_left_out") or 0) + max(0, len(tensors) - MAX_TENSORS),
    )


def _details(check: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a check learned, a line each, cut where it is long."""
    lines = []
    for name, value in (check.get("details") or {}).items():
        text = value if isinstance(value, str) else json.dumps(encodable(value), ensure_ascii=False)
        lines.append((str(name), text if len(text) <= _MAX_DETAIL else f"{text[:_MAX_DETAIL]}…"))
    return lines
