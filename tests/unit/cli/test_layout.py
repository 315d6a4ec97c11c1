"""Tables and sentences in the width of a terminal: no word is broken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from checkpointd.cli.layout import table_lines, wrapped
from checkpointd.cli.output import grid

LONG = "/data/" + "a-long-directory/" * 6 + "model_epoch_01.h5"


def lines(text: str, width: int, indent: int = 0) -> list[str]:
    """The lines of a text, as they are printed."""
    return [line.plain for line in wrapped(Text(text), width, indent)]


def table(*rows: tuple[str, ...], headers: tuple[str, ...], width: int = 80) -> list[str]:
    """The lines of a table whose first two columns stay beside each other."""
    made = grid(*headers)
    for column in made.columns[:2]:
        column.no_wrap = True
    for row in rows:
        made.add_row(*row)
    return [line.plain for line in table_lines(made, width)]


def test_a_sentence_breaks_between_words() -> None:
    """Later lines are indented; line breaks of the text stay."""
    assert lines("one two three four", 9) == ["one two", "three", "four"]
    assert lines("one two three four", 9, 2) == ["one two", "  three", "  four"]
    assert lines("one\ntwo three", 80) == ["one", "two three"]
    assert lines("", 80) == [""]
    assert lines("    blanks stay", 80) == ["    blanks stay"]


def test_a_word_that_fits_on_no_line_stays_where_it_is() -> None:
    """It can be copied; what follows begins a new line."""
    assert lines(f"INVALID  {LONG}  because of this", 80, 2) == [
        f"INVALID  {LONG}",
        "  because of this",
    ]


def test_columns_with_a_width_are_aligned_over_tables() -> None:
    """As in `doctor`, which prints each finding as soon as it is there."""
    printed = []
    for name, level in (("disk", "ok"), ("watch-limits", "warning")):
        made = grid("", "", "")
        made.columns[0].width, made.columns[1].width = 13, 8
        made.add_row(name, level, "text")
        printed += [line.plain.index("text") for line in table_lines(made, 80)]
    assert printed == [25, 25]


def test_a_table_that_fits_is_aligned() -> None:
    """Without blanks at the end of its lines."""
    assert table(("a", "1", "short"), ("bb", "22", "x"), headers=("n", "m", "path")) == [
        "n   m   path",
        "a   1   short",
        "bb  22  x",
    ]


def test_text_in_the_last_column_breaks_inside_of_it() -> None:
    """As long as its longest word fits."""
    printed = table(("a", "1", "some words " * 9), headers=("n", "m", "why"), width=40)
    assert len(printed) > 2
    assert all(line.startswith("      ") and len(line) <= 40 for line in printed[2:])


def test_what_does_not_fit_beside_the_others_goes_below() -> None:
    """A path is on a line of its own, and so is the text that follows it."""
    wide = ("valid and pinned", "10.0 KiB", f"{LONG}\nfinite.nan")
    assert table(wide, headers=("verdict", "size", "path")) == [
        "verdict           size",
        "valid and pinned  10.0 KiB",
        f"    {LONG}",
        "    finite.nan",
    ]


def test_a_label_stays_beside_its_text() -> None:
    """However long a word of the text is."""
    made = grid("", "")
    made.add_row("series", f"{LONG}, in watch a")
    assert [line.plain for line in table_lines(made, 80)] == [
        f"series  {LONG},",
        "        in watch a",
    ]


@given(
    st.text(alphabet=st.sampled_from("ab \n"), max_size=80),
    st.integers(10, 40),
    st.integers(0, 8),
)
def test_no_text_loses_a_word_or_breaks_one(text: str, width: int, indent: int) -> None:
    """Lines are no longer than the terminal, unless a word is."""
    found = lines(text, width, indent)
    assert " ".join(found).split() == text.split()
    for line in found:
        assert len(line) <= width or max(map(len, line.split())) > width - indent


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_a_table_of_any_width_keeps_every_word(width: int) -> None:
    """Also on a terminal that is too narrow for anything."""
    rows = [("valid", "1", LONG, "a few words of a note"), ("invalid", "22", "x", "")]
    printed = table(*rows, headers=("a", "b", "c", "d"), width=width)
    words = " ".join(printed).split()
    assert all(word in words for row in rows for cell in row for word in cell.split())
