"""Lays tables and sentences out in the width of a terminal without breaking a word.

rich breaks a word that is longer than its column, so that a path cannot be copied. Here lines break
between words alone. What does not fit beside the other columns goes below them, and a word that is
longer than the line is left to the terminal.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table
    from rich.text import Text

_WORD = re.compile(r" *([^ ]+)")
_GAP = 2
_INDENT = 4
_LABEL = 20
"""Columns that are no wider than this are a label: text stays beside it, whatever its words are."""

_LEAST = 24
"""The narrowest column in which text is still readable."""


def wrapped(text: Text, width: int, indent: int = 0) -> Iterator[Text]:
    """The lines of a text, broken between words; those after the first are indented.

    Args:
        text: may have several lines; each is wrapped by itself and keeps its indentation.
        width: of the terminal.
        indent: blanks before each line but the first.
    """
    is_first = True
    for paragraph in text.split("\n", allow_blank=True):
        for line in _broken(paragraph, max(1, width - (0 if is_first else indent)), width - indent):
            yield line if is_first else _blanks(indent) + line
            is_first = False


def _broken(paragraph: Text, first: int, width: int) -> Iterator[Text]:
    """The lines of a paragraph; a word that fits on no line stays where it is."""
    start, end, room = 0, 0, first
    for word in _WORD.finditer(paragraph.plain):
        is_too_long = len(word[1]) > width
        if end > start and word.end() - start > room and not (is_too_long and end - start < room):
            yield paragraph[start:end]
            start, room = word.start(1), width
        elif end == start and word.end() - start > room:
            start = word.start(1)
        end = word.end()
    yield paragraph[start : max(end, start)]


def _blanks(count: int) -> Text:
    from rich.text import Text

    return Text(" " * count)


def table_lines(table: Table, width: int) -> Iterator[Text]:
    """The lines of a table.

    Args:
        table: made by `grid`; of its columns, `no_wrap` ones are kept beside each other, and one
            with a `width` is at least as wide.
        width: of the terminal.
    """
    rows = _rows(table)
    if not rows:
        return
    count = len(table.columns)
    widths = [
        max([column.width or 0, *(_longest_line(row[i]) for row in rows)])
        for i, column in enumerate(table.columns)
    ]
    below = _columns_below(table, rows, widths, width)
    beside = [i for i in range(count) if i not in below]
    last = beside[-1] if beside else -1
    above = {i for i in below if i < min(beside, default=count)}
    if table.show_header:
        rows[0] = [cell if i in beside else _blanks(0) for i, cell in enumerate(rows[0])]
    for row in rows:
        for i in sorted(above):
            yield from (line for line in wrapped(row[i], width) if line.plain)
        for line in _row_lines(table, row, [widths[i] for i in beside], beside, last, width):
            yield _blanks(_INDENT) + line if above else line
        for i in sorted(below - above):
            for line in wrapped(row[i], width - _INDENT):
                if line.plain.strip():
                    yield _blanks(_INDENT) + line


def _rows(table: Table) -> list[list[Text]]:
    from rich.text import Text

    columns = []
    for column in table.columns:
        head = [Text(str(column.header), column.header_style)] if table.show_header else []
        cells = [cell if isinstance(cell, Text) else Text(str(cell)) for cell in column.cells]
        for cell in cells:
            cell.stylize_before(column.style)
        columns.append(head + cells)
    return [list(row) for row in zip(*columns, strict=True)]


def _longest_line(text: Text) -> int:
    return max((len(line) for line in text.plain.split("\n")), default=0)


def _longest_word(text: Text) -> int:
    return max((len(word) for word in text.plain.split()), default=0)


def _columns_below(
    table: Table, rows: Sequence[Sequence[Text]], widths: list[int], width: int
) -> set[int]:
    """The columns that do not fit beside the others; the last may shrink to its longest word."""
    below: set[int] = set()
    wide = [i for i, column in enumerate(table.columns) if not column.no_wrap]
    while True:
        beside = [i for i in range(len(widths)) if i not in below]
        if sum(widths[i] + _GAP for i in beside) - _GAP <= width:
            return below
        last = beside[-1] if beside else -1
        room = width - sum(widths[i] + _GAP for i in beside[:-1])
        is_label = width - room <= _LABEL
        fits = is_label or max(_longest_word(row[last]) for row in rows) <= room
        if last in wide and room >= _LEAST and fits:
            widths[last] = room
            return below
        choice = [i for i in wide if i not in below]
        if not choice:
            return below
        below.add(max(choice, key=lambda i: widths[i]))


def _row_lines(
    table: Table,
    row: Sequence[Text],
    widths: Sequence[int],
    beside: Sequence[int],
    last: int,
    width: int,
) -> Iterator[Text]:
    """The lines of the cells that are beside each other."""
    cells = [
        list(wrapped(row[i], max(size, _longest_word(row[i])) if i == last else max(width, size)))
        for i, size in zip(beside, widths, strict=True)
    ]
    for number in range(max((len(cell) for cell in cells), default=0)):
        line = _blanks(0)
        for i, size, cell in zip(beside, widths, cells, strict=True):
            part = cell[number].copy() if number < len(cell) else _blanks(0)
            blanks = _blanks(max(0, size - len(part)))
            line += blanks + part if table.columns[i].justify == "right" else part + blanks
            line += _blanks(_GAP)
        line.rstrip()
        yield line
