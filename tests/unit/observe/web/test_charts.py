"""Curves and timelines: what they draw, and what they leave out."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.observe.web.charts import HEIGHT, WIDTH, curves, timeline
from tests.helpers.observe import points


def test_a_verdict_is_a_colour_and_a_height() -> None:
    """So that it can be recognised without colours."""
    bars = timeline(points(*"vic"))
    assert [bar.verdict for bar in bars] == ["valid", "invalid", "inconclusive"]
    assert len({bar.height for bar in bars}) == 3
    assert bars[1].title == "step 2: invalid"


def test_a_value_that_is_missing_or_not_finite_breaks_the_line() -> None:
    """The gap is where it is missing, not a straight line over it."""
    values = [1.0, 2.0, math.nan, 4.0, 5.0]
    history = [points("v", metrics={"loss": value})[0] for value in values]
    (loss, *_) = curves(history)
    assert re.findall("[ML]", loss.path) == ["M", "L", "M", "L"]
    assert (loss.title, loss.last, loss.lowest, loss.highest) == ("loss", "5", "1", "5")
    assert loss.label == "loss: 4 values from 1 to 5, last 5"


def test_what_was_measured_once_or_never_has_no_curve() -> None:
    """A point is no curve; size and time are always known."""
    assert [curve.title for curve in curves(points(*"vv"))] == ["Size", "Time to verify"]
    assert curves(points("v")) == []


def test_a_wide_range_is_drawn_logarithmically_and_says_so() -> None:
    """Otherwise all but the first values lie on one line."""
    history = [points("v", metrics={"loss": 10.0**-n})[0] for n in range(5)]
    assert curves(history)[0].is_log


@given(st.lists(st.floats() | st.none(), min_size=2, max_size=30))
def test_every_value_lies_within_the_picture(values: list[float | None]) -> None:
    """However large, small or odd it is."""
    history = [points("i", weight_norm=value)[0] for value in values]
    for curve in curves(history):
        numbers = [float(text) for text in re.findall(r"[-+.e0-9]+", curve.path)]
        assert all(0 <= x <= WIDTH for x in numbers[::2])
        assert all(0 <= y <= HEIGHT for y in numbers[1::2])
        assert curve.count == len(numbers) // 2


@pytest.mark.parametrize("count", [0, 1, 120])
def test_a_timeline_of_any_length_fits(count: int) -> None:
    """One save does not fill the page, and many do not leave it."""
    bars = timeline(points(*"v" * count))
    assert all(bar.x + bar.width <= WIDTH for bar in bars)
    assert count != 1 or bars[0].width < WIDTH / 10
