"""Sizes and durations as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.config.units import parse_duration, parse_share, parse_size
from checkpointd.core.text import exact_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90.0),
        ("1h30m", 5400.0),
        ("1 h 30 m", 5400.0),
        ("36h", 129600.0),
        ("7d", 604800.0),
        ("500ms", 0.5),
        (2.5, 2.5),
        (30, 30.0),
    ],
)
def test_a_duration_is_read_as_people_write_it(text: object, seconds: float) -> None:
    """Units may be combined; a bare number is seconds."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "90", "s", "-3s", "0s", "1y", "1h x", 0, -1, True, None, []])
def test_no_duration_is_guessed(text: object) -> None:
    """What is not plainly a positive duration is refused."""
    with pytest.raises(ValueError, match="expected a positive duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [("8GiB", 8 * 2**30), ("1.5 KiB", 1536), ("500MB", 500_000_000), (12, 12), ("1B", 1)],
)
def test_a_size_is_read_as_people_write_it(text: object, count: int) -> None:
    """Binary and decimal units; a bare number is bytes."""
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "8", "8gib", "-1GiB", "0B", 0, True, 1.5, None])
def test_no_size_is_guessed(text: object) -> None:
    """What is not plainly a positive size is refused."""
    with pytest.raises(ValueError, match="expected a positive size"):
        parse_size(text)


@given(st.integers(1, 10**9))
def test_a_duration_that_is_written_is_read_back(seconds: int) -> None:
    """`config show` loses nothing."""
    assert parse_duration(exact_duration(float(seconds))) == seconds


def test_a_percentage_is_text_with_its_sign() -> None:
    """A bare number might mean either."""
    assert parse_share("80%") == parse_share(" 80.0 % ") == 0.8
    for wrong in ("80", "0%", "100%", "120%", 80, 1.0, True, "x%", None):
        with pytest.raises(ValueError, match='such as "80%"'):
            parse_share(wrong)
