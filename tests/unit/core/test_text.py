"""Names made readable."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.core import text

any_text = st.text(st.characters(exclude_categories=()))


@given(any_text)
def test_every_name_can_be_encoded_and_printed(name: str) -> None:
    """Lone surrogates of any kind become escapes, also where only the beginning is used."""
    text.utf8(name).encode("utf-8")
    assert text.printable(name).isprintable()
    assert text.printable(name, 3).isprintable()


@pytest.mark.parametrize(
    ("name", "expected"),
    [("abc", "abc"), ("abcd", "abc…"), ("a\n", "a\\n"), ("\udcff\x1b", "\\xff\\x1b")],
)
def test_a_limit_counts_the_characters_of_the_name(name: str, expected: str) -> None:
    """Escapes may make the result longer, an ellipsis marks that something is left out."""
    assert text.printable(name, 3) == expected


@given(st.text(st.characters(categories=["L", "N"])))
def test_an_ordinary_name_stays_as_it_is(name: str) -> None:
    """Letters of any script are not escaped."""
    assert text.utf8(name) == name
    assert text.printable(name) == name
    assert text.metric_label(name) == name


@given(st.lists(st.text("\\xu0f85\n\x85\xff\udc85\udcff", max_size=6), unique=True))
def test_no_two_names_are_one_label(names: list[str]) -> None:
    """Also where one of them looks like the other one's escape; each can be printed."""
    labels = [text.metric_label(name) for name in names]
    assert len(set(labels)) == len(names)
    assert all(label.isprintable() for label in labels)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (2**40, "1.0 TiB"), (2**70, "1048576.0 PiB")],
)
def test_sizes_have_a_sensible_unit(count: int, expected: str) -> None:
    """Bytes as a person reads them."""
    assert text.size(count) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-5, "just now"), (0.5, "just now"), (12, "12 s ago"), (180, "3 min ago"), (90000, "1 d ago")],
)
def test_ages_have_a_sensible_unit(seconds: float, expected: str) -> None:
    """A clock that stands a little ahead is no reason for a negative age."""
    assert text.ago(1000.0 - seconds, 1000.0) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [(-1, "0 s"), (0, "0 s"), (0.0042, "<0.01 s"), (0.4, "0.4 s"), (12.3, "12 s"), (90, "2 min")],
)
def test_a_duration_has_two_digits_at_most_below_a_minute(seconds: float, expected: str) -> None:
    """A duration of zero or less is none."""
    assert text.duration(seconds) == expected


def test_json_has_no_word_for_nan() -> None:
    """It becomes null, however deep it lies; a name's odd bytes come back as they were."""
    value = {"a\udcff": [1.5, float("nan"), (float("-inf"), {"b": float("inf")})]}
    written = text.json_text(value)
    assert written.isascii()
    assert json.loads(written, parse_constant=pytest.fail) == {
        "a\udcff": [1.5, None, [None, {"b": None}]]
    }


def test_a_time_that_no_calendar_has_is_still_written() -> None:
    """A file may claim any time: `touch -d @99999999999999`."""
    assert text.iso(0) == "1970-01-01T00:00:00Z"
    assert text.iso(1e14) == "@1e+14"
    assert text.iso(float("nan")) == "@nan"
