"""The output of `trash list`, `trash empty` and `restore`."""

from __future__ import annotations

import time
from typing import Any

from checkpointd.cli.output import console, grid, print_table
from checkpointd.core.text import duration, printable, size


def show_trash(rows: list[dict[str, Any]]) -> None:
    """Print the contents of the trash, and until when each can be restored."""
    from rich.text import Text

    now = time.time()
    table = grid("size", "age", "expires in", "path")
    for column in table.columns[:3]:
        column.justify = "right"
        column.no_wrap = True
    for row in rows:
        path = Text(printable(row["path"]))
        if note := _note(row):
            path.append(f"\n{note}", "dim")
        table.add_row(
            size(row["size_bytes"]),
            duration(row["age_seconds"]),
            _until(row, now),
            path,
        )
    print_table(console(), table)
    if any(row["mode"] == "off" and not row["copy"] for row in rows):
        print("Nothing expires while mode is off; `checkpointd trash empty` deletes by hand.")


def _until(row: dict[str, Any], now: float) -> str:
    left = row["expires_at"]
    if left is not None:
        return duration(max(0.0, left - now))
    return "?" if row["mode"] == "unknown" and not row["copy"] else "never"


def _note(row: dict[str, Any]) -> str:
    notes = []
    if row["restore"] != row["path"]:
        notes.append(f"an older item of that path: `checkpointd restore {row['restore']}`")
    if not row["configured"]:
        notes.append(f"no watch has this trash any more; it was that of {printable(row['watch'])}")
    if row["bucket"]:
        notes.append("in the versions of its bucket")
    if row["copy"]:
        notes.append("a copy in the vault")
    if not row["finished"]:
        notes.append("unfinished: half moved; `checkpointd restore` brings it back whole")
    if row.get("refusal"):
        notes.append(f"cannot be restored: {printable(row['refusal'])}")
    return "; ".join(notes)
