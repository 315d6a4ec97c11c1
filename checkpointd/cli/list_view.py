"""How `list` looks: the series with the newest checkpoint first, each by step, newest first."""

from __future__ import annotations

import time
from typing import Any

from checkpointd.cli.output import COLOURS, console, grid, print_table
from checkpointd.core.text import duration, printable, size


def show_list(rows: list[dict[str, Any]]) -> None:
    """Print checkpoints.

    Args:
        rows: their public objects, newest first.
    """
    from rich.text import Text

    now = time.time()
    table = grid("verdict", "step", "size", "age", "shown", "series", "path")
    for column in table.columns[1:4]:
        column.justify = "right"
        column.no_wrap = True
    table.columns[0].no_wrap = True
    for row in by_series(rows):
        state = row["state"]
        verdict = Text(state, COLOURS.get(state, ""))
        verdict.append(" pinned" if row["pinned"] else "", "dim")
        path = Text(printable(row["path"]))
        if row["tags"]:
            path.append(f"\ntagged {', '.join(row['tags'])}", "dim")
        if row["reason"]:
            path.append(f"\n{row['reason']}", "dim")
        table.add_row(
            verdict,
            "" if row["step"] is None else str(row["step"]),
            size(row["size_bytes"]),
            duration(now - row["saved_at"]),
            ", ".join(row["shown"]),
            printable(row["series"]),
            path,
        )
    print_table(console(), table)


def by_series(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of one series after each other, by step where there is one; pure.

    Args:
        rows: newest first; so the series with the newest one comes first.
    """
    series: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        series.setdefault((row["watch"], row["series"]), []).append(row)
    return [row for members in series.values() for row in sorted(members, key=_newest_first)]


def _newest_first(row: dict[str, Any]) -> tuple[bool, float, float]:
    step = row["step"]
    return (step is None, -(step or 0), -row["saved_at"])
