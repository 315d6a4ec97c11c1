"""How `list` looks: each series under its name, its checkpoints by step, newest first."""

from __future__ import annotations

import time
from typing import Any

from checkpointd.cli.output import COLOURS, console, grid, print_table, print_text
from checkpointd.core.text import duration, printable, size


def show_list(rows: list[dict[str, Any]]) -> None:
    """Print checkpoints.

    Args:
        rows: their public objects, newest first; the series with the newest one comes first.
    """
    from rich.text import Text

    out = console()
    series: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        series.setdefault((row["watch"], row["series"]), []).append(row)
    for number, ((watch, name), members) in enumerate(series.items()):
        out.print(end="\n" if number else "")
        head = Text(printable(name or members[0]["path"]), "bold")
        head.append(f"  in watch {printable(watch)}", "dim")
        print_text(out, head)
        print_table(out, _table(sorted(members, key=_newest_first)))


def _newest_first(row: dict[str, Any]) -> tuple[bool, float, float]:
    """By step where there is one, then by time."""
    step = row["step"]
    return (step is None, -(step or 0), -row["saved_at"])


def _table(rows: list[dict[str, Any]]) -> Any:
    from rich.text import Text

    now = time.time()
    table = grid("  verdict", "step", "size", "age", "shown", "path")
    for column in table.columns[1:4]:
        column.justify = "right"
        column.no_wrap = True
    table.columns[0].no_wrap = True
    for row in rows:
        state = row["state"]
        verdict = Text("  ")
        verdict.append(state, COLOURS.get(state, ""))
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
            path,
        )
    return table
