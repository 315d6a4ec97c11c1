"""Differences of values, with numpy as the oracle."""

from __future__ import annotations

import random

import ml_dtypes
import numpy as np
import pytest

from checkpointd.verify.scan.diff.numbers import Difference, comparable, compare

SEED = random.SystemRandom().randrange(2**32)


def blocks(values: np.ndarray, size: int) -> list[np.ndarray]:
    """Cut an array's bytes into blocks of one size."""
    data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
    return [data[i : i + size] for i in range(0, len(data), size)]


def difference(
    one: np.ndarray, other: np.ndarray, first: int = 4099, second: int = 65537
) -> Difference:
    """Compare two arrays that come in blocks of odd sizes."""
    return compare(blocks(one, first), str(one.dtype), blocks(other, second), str(other.dtype))


@pytest.mark.parametrize("kinds", [("float32", "float32"), ("float32", "float16"), ("f8", "f4")])
def test_floats_differ_as_numpy_has_it(kinds: tuple[str, str]) -> None:
    """Absolute, relative and Euclidean differences are those of float64, however bytes come."""
    print(f"seed {SEED}")  # noqa: T201 - to repeat it
    rng = np.random.default_rng(SEED)
    one = rng.normal(size=200_003).astype(kinds[0])
    other = (one + rng.normal(size=one.size) * 1e-3).astype(kinds[1])
    found = difference(one, other)
    a, b = one.astype(np.float64), other.astype(np.float64)
    assert found.values == one.size
    assert found.differing == np.count_nonzero(a != b)
    assert found.absolute == np.abs(a - b).max()
    assert found.relative == (np.abs(a - b) / np.maximum(np.abs(a), np.abs(b))).max()
    assert found.norm == pytest.approx(np.linalg.norm(a - b))


def test_a_cast_to_bfloat16_is_compared_by_value() -> None:
    """A bfloat16 is a float: its rounding is the difference."""
    one = np.linspace(-3, 3, 1001, dtype=np.float32)
    other = one.astype(ml_dtypes.bfloat16)
    found = difference(one, other)
    assert found.absolute == np.abs(one - other.astype(np.float32)).max() > 0


def test_nan_and_infinity_on_one_side_are_counted_and_not_subtracted() -> None:
    """Equal NaN and equal infinities are equal; the others count, and the rest is measured."""
    one = np.array([np.nan, np.nan, np.inf, np.inf, 1.0, 2.0], np.float32)
    other = np.array([np.nan, 1.0, np.inf, -np.inf, np.nan, 2.5], np.float32)
    found = difference(one, other)
    assert (found.differing, found.finiteness, found.absolute) == (4, 3, 0.5)


def test_integers_are_subtracted_exactly() -> None:
    """float64 cannot tell 2**62 from 2**62 + 1."""
    one, other = np.array([2**62, -(2**63)]), np.array([2**62 + 1, 2**63 - 1])
    found = difference(one, other)
    assert (found.differing, found.absolute) == (2, float(2**64 - 1))


def test_what_has_no_value_is_equal_or_not() -> None:
    """A float and an int8 have no common scale, and neither have opaque bytes."""
    assert not comparable("float32", "int8")
    assert not comparable("string", "string")
    one = np.arange(8, dtype=np.uint8)
    assert compare([one], "string", [one[:3], one[3:]], "string").differing == 0
    assert compare([one], "string", [one[:-1]], "string").differing == 1


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0)])
def test_scalars_and_empty_tensors_are_compared(shape: tuple[int, ...]) -> None:
    """Nothing in common with a division by zero."""
    found = difference(np.zeros(shape, np.float32), np.zeros(shape, np.float32))
    assert (found.differing, found.relative) == (0, 0.0)


def test_minus_zero_and_booleans() -> None:
    """Minus zero is zero; a flipped truth value is a difference of one."""
    assert difference(np.array([0.0]), np.array([-0.0])).differing == 0
    assert difference(np.array([True, False]), np.array([True, True])).absolute == 1


def test_complex_numbers() -> None:
    """Their distance is that of the plane."""
    found = difference(np.array([1 + 1j], "complex64"), np.array([4 + 5j], "complex64"))
    assert found.absolute == 5
