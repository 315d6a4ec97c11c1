"""How `list` looks: the series with the newest checkpoint first, each with its newest run first."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from checkpointd.cli.output import COLOURS, console, grid, print_table
from checkpointd.core.text import duration, printable, size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text

    from checkpointd.ledger import Entry


def show_list(rows: list[dict[str, Any]]) -> None:
    """Print checkpoints.

    Args:
        rows: their public objects, in the order of `by_series`.
    """
    from rich.text import Text

    now = time.time()
    table = grid("verdict", "step", "size", "age", "shown", "series", "path")
    for column in table.columns[1:4]:
        column.justify = "right"
        column.no_wrap = True
    table.columns[0].no_wrap = True
    for row in rows:
        state = row["state"]
        verdict = Text(state, COLOURS.get(state, ""))
        verdict.append(" pinned" if row["pinned"] else "", "dim")
        verdict.append(" copied" if row.get("copy") else "", "dim")
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
            _shown(row),
            printable(row["series"]),
            path,
        )
    print_table(console(), table)


def _shown(row: dict[str, Any]) -> Text:
    """What was shown, and whether that was compared with a golden record."""
    from rich.text import Text

    text = Text(", ".join(row["shown"]))
    if row["golden"]:
        text.append(", golden" if row["shown"] else "golden", "dim")
    return text


def by_series(entries: Sequence[Entry], now: float) -> list[Entry]:
    """The checkpoints of one series after each other, each series as `prune` orders it; pure.

    The newest run comes first, and within a run the last step.

    Args:
        entries: newest first by save time; so the series with the newest one comes first.
        now: seconds since the epoch.
    """
    from checkpointd.retention.series_order import order_series

    orders = order_series(entries, now)
    series = dict.fromkeys((e.checkpoint.watch, e.checkpoint.series) for e in entries)
    return [entry for key in series for entry in orders[key].newest_first]
