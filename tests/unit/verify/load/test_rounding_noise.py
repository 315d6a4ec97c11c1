"""The noise that rounding explains between two environments: pure functions."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from checkpointd.golden.arrays import Ragged
from checkpointd.verify.load import rounding_noise
from checkpointd.verify.load.rounding_noise import Noise, expectation, measure

RNG = np.random.default_rng(1)
OUTPUT = RNG.normal(size=(8, 1000)).astype(np.float32)
ATOL = 1e-6


def disturbed(values: Any, share: float) -> Any:
    """The same values with noise of so large a share of their RMS."""
    rms = float(np.sqrt(np.mean(np.square(values, dtype=np.float64))))
    return values + (share * rms * RNG.normal(size=values.shape)).astype(np.float32)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6, 1e30])
def test_noise_is_relative_to_the_rms_whatever_the_scale(scale: float) -> None:
    """Logits in thousands and probabilities of a thousand classes alike."""
    values = OUTPUT * np.float32(scale)
    assert measure("y", values, disturbed(values, 0.003), ATOL).found == pytest.approx(0.003, 0.05)
    assert measure("y", values, values.copy(), ATOL).found == 0


def test_what_is_not_finite_at_the_same_places_is_no_noise() -> None:
    """A mask of infinities is equal; one that is finite in the record is infinitely far."""
    values = OUTPUT.copy()
    values[0, :3] = [np.inf, -np.inf, np.nan]
    assert measure("y", values, values.copy(), ATOL).found == 0
    assert measure("y", values, OUTPUT, ATOL).found == math.inf
    assert measure("y", OUTPUT, values, ATOL).found == math.inf
    assert measure("y", OUTPUT, OUTPUT[:4], ATOL).found == math.inf


def test_ragged_outputs_are_compared_where_their_rows_agree() -> None:
    """Other lengths are another output."""
    rows = Ragged(OUTPUT[0, :5], (np.array([0, 2, 5]),))
    near = Ragged(disturbed(rows.values, 0.001), rows.splits)
    other = Ragged(rows.values, (np.array([0, 3, 5]),))
    assert measure("y", rows, near, ATOL).found < 0.01
    assert measure("y", rows, other, ATOL).found == math.inf


def test_a_class_at_a_near_tie_may_fall_on_the_other_side() -> None:
    """One of eight, not two; and never in a batch of a few."""
    limit = expectation("tf32", 10)
    classes = np.arange(8) * 100
    one, two = classes.copy(), classes.copy()
    one[3] = 5
    two[3:5] = 5
    assert limit.explains(measure("y", classes, one, ATOL))
    assert not limit.explains(measure("y", classes, two, ATOL))
    assert not limit.explains(measure("y", classes[:4], one[:4], ATOL))
    texts = np.array([b"cat"] * 8, object)
    assert limit.explains(measure("y", texts, texts.copy(), ATOL))
    assert not limit.explains(measure("y", texts, np.array([b"dog"] * 8, object), ATOL))


def test_pixels_rounded_to_whole_numbers_are_near() -> None:
    """Every second one is off by one, and the image is the same."""
    image = RNG.integers(100, 200, (4, 32, 32, 3))
    assert expectation("tf32", 20).explains(measure("y", image, image + (image % 2), ATOL))


@pytest.mark.parametrize(
    ("precision", "products", "share", "explained"),
    [
        ("float32", 4, 1e-5, True),
        ("float32", 4, 2e-3, False),
        ("float32", 200, 4e-4, True),
        ("tf32", 4, 3e-3, True),
        ("tf32", 4, 3e-2, False),
        ("tf32", 54, 1e-2, True),
        ("tf32", 54, 0.1, False),
        ("bfloat16", 4, 1.3e-2, True),
        ("bfloat16", 4, 0.1, False),
        ("bfloat16", 110, 5e-2, True),
        ("bfloat16", 1000, 0.3, False),
        ("float16", 4, 3e-3, True),
        ("int8", 4, 3e-2, True),
    ],
)
def test_precision_and_depth_decide_how_much_is_explained(
    precision: str, products: int, share: float, explained: bool
) -> None:
    """What was measured for each is within, and a wrong model's difference is beyond."""
    found = measure("y", OUTPUT, disturbed(OUTPUT, share), ATOL)
    assert expectation(precision, products).explains(found) is explained


def test_one_value_far_off_is_not_explained_by_the_rms_of_all() -> None:
    """One class of a thousand that a spoiled column gives."""
    values = OUTPUT.copy()
    values[0, 0] += 2.5
    found = measure("y", OUTPUT, values, ATOL)
    limit = expectation("bfloat16", 10)
    assert found.found < limit.allowed
    assert not limit.explains(found)
    assert "single values up to" in rounding_noise.describe(found, limit)


def test_what_the_model_makes_of_rounding_widens_what_is_allowed() -> None:
    """But never so far that any output would do."""
    limit = expectation("tf32", 4)
    wider = limit.widened(0.01)
    assert wider.expected == 0.01
    assert wider.allowed == pytest.approx(0.04)
    assert limit.widened(0.0) == limit
    assert limit.widened(3.0).allowed == rounding_noise.MOST


@pytest.mark.parametrize(
    ("environment", "precision"),
    [
        ({}, "float32"),
        ({"device": "cpu", "policy": "float32", "precision": "float32"}, "float32"),
        ({"device": "gpu", "policy": "float32"}, "tf32"),
        ({"device": "gpu", "policy": "float32", "precision": "float32"}, "float32"),
        ({"device": "gpu", "policy": "mixed_bfloat16", "precision": "tf32"}, "bfloat16"),
        ({"device": "tpu", "policy": "float32"}, "bfloat16"),
        ({"device": "cpu", "policy": "mixed_float16"}, "float16"),
        ({"device": "cpu", "policy": "int8_from_mixed_bfloat16"}, "int8"),
    ],
)
def test_a_records_precision_is_the_coarsest_that_it_holds(
    environment: dict[str, str], precision: str
) -> None:
    """An older record of a GPU does not hold whether its products were TF32."""
    assert rounding_noise.precision_of(environment) == precision


def test_products_are_counted_by_the_weights_in_them() -> None:
    """A bias adds; what tells nothing of its weights is taken for a model of some depth."""
    kernel, bias = SimpleNamespace(shape=(3, 4)), SimpleNamespace(shape=(4,))
    assert rounding_noise.products_of(SimpleNamespace(weights=[kernel, bias, kernel])) == 2
    assert rounding_noise.products_of(SimpleNamespace()) > 1


def test_the_description_has_what_was_expected_and_found() -> None:
    """In percent, as a reader takes it in."""
    limit = expectation("tf32", 16)
    within = Noise("logits", 0.003, 0.01, 100)
    assert rounding_noise.describe(within, limit) == "logits: expected noise 0.2 %, found 0.3 %"
    far = Noise("logits", 1.31, 2.4, 100)
    assert rounding_noise.describe(far, limit) == (
        "logits: expected noise 0.2 %, found 131 % (671 times as much; 1.2 % is allowed)"
    )
    assert "another shape" in rounding_noise.describe(Noise("y", math.inf, math.inf, 1), limit)
