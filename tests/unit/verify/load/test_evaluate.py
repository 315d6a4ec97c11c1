"""Metrics and their bounds, without a model."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.core.check_result import Outcome
from checkpointd.core.verify_settings import MAX, MAX_METRICS, MIN, Bound, better
from checkpointd.verify.load import evaluate
from checkpointd.verify.user_code import UserCodeError

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)


def outcome(value: float, bound: Bound, best: dict[str, float] | None = None) -> str:
    """The reason for one metric under one bound."""
    return evaluate.judge({"m": value}, {"m": bound}, best or {}).reason


@given(st.sampled_from([math.nan, math.inf, -math.inf]), finite, st.sampled_from([MIN, MAX]))
def test_what_is_not_finite_is_within_no_bound(value: float, limit: float, mode: str) -> None:
    """NaN is neither below nor above anything, and passes nothing."""
    for bound in (Bound(min=limit), Bound(max=limit), Bound(within_of_best=1e300, mode=mode)):
        assert outcome(value, bound) == "evaluate.below_threshold"


@given(finite, finite, finite)
def test_absolute_bounds_hold_at_their_ends(value: float, low: float, high: float) -> None:
    """A metric equal to its bound is within it."""
    within = low <= value <= high
    assert (outcome(value, Bound(min=low, max=high)) == "") == within


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.floats(0, 10))
def test_the_best_bounds_one_way_only(value: float, best: float, within: float) -> None:
    """Better than the best is always well; both ways of being better mirror each other."""
    up = outcome(value, Bound(within_of_best=within, mode=MAX), {"m": best})
    down = outcome(-value, Bound(within_of_best=within, mode=MIN), {"m": -best})
    assert up == down
    if value >= best:
        assert up == ""
    elif best - value > within + 1e-5:
        assert up == "evaluate.below_threshold"


def test_decimal_fractions_are_taken_as_they_are_written() -> None:
    """0.90 is within 0.02 of 0.92, although 0.92 - 0.90 is a little more in binary."""
    assert outcome(0.90, Bound(within_of_best=0.02, mode=MAX), {"m": 0.92}) == ""


def test_without_a_best_nothing_is_worse_than_it() -> None:
    """The first of a series, or a best that is NaN."""
    bound = Bound(within_of_best=0.0, mode=MAX)
    assert outcome(0.1, bound) == ""
    assert outcome(0.1, bound, {"m": math.nan}) == ""


def test_all_that_is_out_of_bounds_is_reported() -> None:
    """One sentence, the numbers in it."""
    bounds = {
        "accuracy": Bound(min=0.9, within_of_best=0.02, mode=MAX),
        "loss": Bound(max=0.5),
        "auc": Bound(min=0.5),
    }
    values = {"accuracy": 0.8, "loss": math.nan, "auc": 0.7}
    result = evaluate.judge(values, bounds, {"accuracy": 0.95})
    assert result.outcome is Outcome.FAIL
    assert result.message == (
        "accuracy is 0.8, less than 0.9; accuracy is 0.8, worse than the series' best 0.95 by more "
        "than 0.02; loss is NaN."
    )
    assert result.details["metrics"] == {"accuracy": 0.8, "loss": "nan", "auc": 0.7}


def test_a_bound_on_a_missing_metric_is_an_error() -> None:
    """Never quietly within its bounds."""
    result = evaluate.judge({"acc": 1.0}, {"accuracy": Bound(min=0.5)}, {})
    assert (result.outcome, result.reason) == (Outcome.ERROR, "evaluate.evaluate_error")
    assert "accuracy" in result.message
    assert "acc" in result.message


def test_numbers_of_every_kind_are_taken() -> None:
    """Python's, numpy's, arrays of one value."""
    given_values = {
        "a": 1,
        "b": np.float32(0.5),
        "c": np.array([2.0]),
        "d": np.array(3),
        "e": np.bool_(True),
        "f": float("nan"),
    }
    found = evaluate.numbers(given_values)
    assert found.pop("f") != found.get("f")
    assert found == {"a": 1.0, "b": 0.5, "c": 2.0, "d": 3.0, "e": 1.0}


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "returned a NoneType"),
        (0.9, "returned a float"),
        ([("accuracy", 0.9)], "returned a list"),
        ({}, "returned 0"),
        ({f"m{n}": 0.0 for n in range(MAX_METRICS + 1)}, f"returned {MAX_METRICS + 1}"),
        ({"a b": 1.0}, "'a b' cannot be a metric's name"),
        ({"x" * 65: 1.0}, "cannot be a metric's name"),
        ({'a"\n': 1.0}, "cannot be a metric's name"),
        ({3: 1.0}, "3 cannot be a metric's name"),
        ({"a": "0.9"}, "'a' has to be one number"),
        ({"a": np.zeros(2)}, "'a' has to be one number"),
        ({"a": None}, "'a' has to be one number"),
    ],
)
def test_anything_else_is_refused_with_a_sentence(returned: Any, message: str) -> None:
    """What it returned, and what it has to."""
    with pytest.raises(UserCodeError, match="evaluate in"):
        evaluate.numbers(returned)
    try:
        evaluate.numbers(returned)
    except UserCodeError as error:
        assert message in str(error)  # noqa: PT017 - the sentence has brackets that match would read


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("accuracy", MAX),
        ("val_acc", MAX),
        ("sparse_categorical_accuracy", MAX),
        ("auc", MAX),
        ("loss", MIN),
        ("val_loss", MIN),
        ("mean_absolute_error", MIN),
        ("mse", MIN),
        ("width", ""),
        ("accident_rate", ""),
    ],
)
def test_a_name_shows_which_way_is_better_or_does_not(name: str, way: str) -> None:
    """As ModelCheckpoint guesses it, but never where it is a guess."""
    assert better(name) == way
