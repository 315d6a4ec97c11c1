"""Formats results: JSON lines for programs; text, tables and colours for people."""

from __future__ import annotations

import datetime as dt
import sys
import time
from typing import TYPE_CHECKING, Any

from checkpointd.core.text import ago, json_text

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TextIO

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

COLOURS = {
    "valid": "green",
    "invalid": "bold red",
    "inconclusive": "yellow",
    "writing": "cyan",
    "pending": "cyan",
    "pass": "green",
    "fail": "bold red",
    "error": "yellow",
    "warn": "yellow",
    "skip": "bright_black",
    "ok": "green",
    "problem": "bold red",
    "warning": "yellow",
    "unknown": "yellow",
}
"""The colour of a verdict, a state, or an outcome; none for any other."""

_WIDE = 100_000


def json_line(value: Any) -> None:
    """Print one object on one line: strict JSON, in ASCII; NaN and Inf become null."""
    print(json_text(value))


def console(stream: TextIO | None = None) -> Console:
    """A console on a stream, by default standard output.

    Coloured on a terminal alone and never with `NO_COLOR`; where there is no terminal, lines
    are as long as they need to be.
    """
    from rich.console import Console

    class _Console(Console):
        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    target = stream or sys.stdout
    return _Console(
        file=target,
        markup=False,
        highlight=False,
        emoji=False,
        width=None if target.isatty() else _WIDE,
        force_terminal=target.isatty(),
    )


def grid(*headers: str) -> Table:
    """A table without lines, for `print_table`."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=any(headers))
    for header in headers:
        table.add_column(header, header_style="dim")
    return table


def print_table(out: Console, table: Table) -> None:
    """Print a table in the width of the terminal; no word is broken."""
    from checkpointd.cli.layout import table_lines

    for line in table_lines(table, out.width):
        out.print(line, soft_wrap=True)


def print_text(out: Console, text: str | Text, indent: int = 0) -> None:
    """Print a text in the width of the terminal; no word is broken, later lines are indented."""
    from rich.text import Text as RichText

    from checkpointd.cli.layout import wrapped

    for line in wrapped(text if isinstance(text, RichText) else RichText(text), out.width, indent):
        out.print(line, soft_wrap=True)


def when(moment: float) -> str:
    """A time (seconds since the epoch) in the reader's time zone, and how long ago that was."""
    local = dt.datetime.fromtimestamp(moment, dt.UTC).astimezone()
    return f"{local:%Y-%m-%d %H:%M:%S %z}, {ago(moment, time.time())}"


def merged_holds(holds: Iterable[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Holds as (series, message, cure); those with the same message and cure are merged."""
    series: dict[tuple[str, str], list[str]] = {}
    for label, why, cure in holds:
        series.setdefault((why, cure), []).append(label)
    return [
        (labels[0] if len(labels) == 1 else f"{len(labels)} series, such as {labels[0]}", *rest)
        for rest, labels in series.items()
    ]
