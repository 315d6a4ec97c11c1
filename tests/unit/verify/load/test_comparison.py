"""Outputs that are compared with those of the original, without TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.verify.load.comparison import compare, tolerances

_NUMBERS = st.lists(st.floats(width=32), min_size=1, max_size=8)


@given(_NUMBERS)
def test_equal_outputs_never_differ(values: list[float]) -> None:
    """Whatever the values, NaN and infinity too, an output equals itself."""
    array = np.array(values, np.float32)
    found = compare("y", array, array.copy(), 0.0, 0.0)
    assert (found.max_abs, found.max_rel, found.beyond) == (0.0, 0.0, 0)


@given(_NUMBERS, st.integers(0, 7), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_a_value_that_is_not_finite_any_more_is_beyond(
    values: list[float], place: int, bad: float
) -> None:
    """NaN or infinity where a finite number was is found whatever the tolerance."""
    expected = np.nan_to_num(np.array(values, np.float32), posinf=1, neginf=-1)
    actual = expected.copy()
    actual[place % len(values)] = bad
    found = compare("y", expected, actual, 1e30, 1e30)
    assert found.beyond == 1
    assert found.max_abs == np.inf


@pytest.mark.parametrize(
    ("expected", "actual", "beyond"),
    [
        ([1.0, 100.0], [1.000005, 100.0005], 0),
        ([1.0, 100.0], [1.00002, 100.0005], 1),
        ([0.0], [2e-6], 1),
        ([1, 2, 3], [1, 2, 4], 1),
        ([True, False], [True, True], 1),
        ([b"a", b"b"], [b"a", b"c"], 1),
        ([[1.0]], [1.0], 1),
        ([], [], 0),
    ],
)
def test_differences_are_counted_beyond_atol_and_rtol(
    expected: list[Any], actual: list[Any], beyond: int
) -> None:
    """Numbers may differ by `atol + rtol * abs(golden)`; whole numbers and texts not at all."""
    assert compare("y", np.array(expected), np.array(actual), 1e-6, 1e-5).beyond == beyond


def test_sixteen_bits_widen_the_tolerances() -> None:
    """Two units in the last place of the type that the model computes with are allowed."""
    assert tolerances(1e-6, 1e-5, "float32") == (1e-6, 1e-5)
    assert tolerances(1e-6, 1e-5, "mixed_float16") == (2e-3, 2e-3)
    assert tolerances(1e-6, 0.5, "mixed_bfloat16") == (1.6e-2, 0.5)
