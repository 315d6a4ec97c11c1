"""`finite` decided by counts alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd.core.check_result import Outcome
from checkpointd.tensors import MODEL, OPTIMIZER, OTHER, TensorStats
from checkpointd.verify.scan.finite import judge


def tensor(name: str, role: str = MODEL, nan: int = 0, inf: int = 0) -> TensorStats:
    """A tensor of 40960 values."""
    return TensorStats(name, f"key/{name}", role, "float32", (40960,), 163840, nan, inf, 1.0, 0)


def test_the_message_names_the_tensor_and_counts_its_values() -> None:
    """A person reads which weight is destroyed, and how much of it."""
    result = judge([tensor("dense/kernel", nan=12)])
    assert result.reason == "finite.nan"
    assert result.message == "dense/kernel: 12 of 40960 values are NaN"
    assert result.details["tensors"][0]["nan"] == 12


def test_an_infinity_is_a_failure_of_its_own() -> None:
    """Overflow and NaN have different remedies."""
    assert judge([tensor("w", inf=1)]).reason == "finite.inf"


def test_what_is_not_finite_outside_the_model_warns() -> None:
    """An optimizer's moment does not make the model invalid."""
    result = judge([tensor("w"), tensor("m", OPTIMIZER, nan=3)])
    assert (result.reason, result.outcome) == ("finite.nan_elsewhere", Outcome.WARN)


def test_ignored_tensors_are_matched_by_name_and_by_key() -> None:
    """Globs work on what `inspect` shows and on the container's own names."""
    odd = tensor("mask/values", nan=5)
    assert judge([odd], ["mask/*"]).outcome is Outcome.PASS
    assert judge([odd], ["key/mask/*"]).outcome is Outcome.PASS
    assert judge([odd], ["other/*"]).outcome is Outcome.FAIL


def test_of_many_tensors_three_are_named_and_the_rest_counted() -> None:
    """A model that is all NaN does not fill the terminal."""
    result = judge([tensor(f"w{i}", nan=1) for i in range(50)])
    assert result.message.endswith("and 47 more tensors")


@given(
    st.lists(
        st.tuples(st.sampled_from([MODEL, OPTIMIZER, OTHER]), st.integers(0, 2), st.integers(0, 2)),
        max_size=8,
    )
)
def test_it_fails_exactly_when_a_weight_of_the_model_is_not_finite(
    tensors: list[tuple[str, int, int]],
) -> None:
    """For any mix of tensors the outcome follows from roles and counts."""
    outcome = judge([tensor(f"t{i}", *t) for i, t in enumerate(tensors)]).outcome
    if any(role == MODEL and nan + inf for role, nan, inf in tensors):
        assert outcome is Outcome.FAIL
    elif any(nan + inf for _, nan, inf in tensors):
        assert outcome is Outcome.WARN
    else:
        assert outcome is Outcome.PASS


def values(name: str, *kept: float, shape: tuple[int, ...] = (), role: str = MODEL) -> TensorStats:
    """A tensor of these values."""
    array = np.array(kept)
    shape = shape or array.shape
    nan, inf = int(np.isnan(array).sum()), int(np.isinf(array).sum())
    squares = float((array[np.isfinite(array)] ** 2).sum())
    below = int(np.isneginf(array).sum())
    return TensorStats(name, name, role, "float32", shape, 4, nan, inf, squares, 0, below, "name")


INF = float("inf")


@pytest.mark.parametrize(
    ("tensor", "outcome"),
    [
        (values("layer/vars/0", 0, -INF, 0, 0, shape=(2, 2)), Outcome.WARN),
        (values("causal_mask", 0, -INF, 0, 0), Outcome.WARN),
        (values("attention/mask", 0.5, -INF, 1), Outcome.WARN),
        (values("log_prior", -0.5, -INF, -1), Outcome.WARN),
        (values("dense/bias", 0, -INF, 0, 0), Outcome.FAIL),
        (values("causal_conv1d/kernel", 0.5, -INF, 1), Outcome.FAIL),
        (values("mask/dense/bias", 0, -INF, 0), Outcome.FAIL),
        (values("attention/causal_mask (model/a)", 0.5, -INF, 1), Outcome.WARN),
        (values("kernel", 0, INF, 0, 0, shape=(2, 2)), Outcome.FAIL),
        (values("kernel", 0, -INF, 0.1, 0, shape=(2, 2)), Outcome.FAIL),
        (values("kernel", -INF, -INF, shape=(2, 1)), Outcome.FAIL),
        (values("mask", -INF, -INF), Outcome.FAIL),
        (values("mask", 0, -INF, float("nan")), Outcome.FAIL),
        (values("mask", 0, -INF, INF), Outcome.FAIL),
        (values("kernel", *[0] * 99, -INF, shape=(10, 10)), Outcome.FAIL),
    ],
)
def test_a_mask_is_known_by_its_values_or_by_its_name(
    tensor: TensorStats, outcome: Outcome
) -> None:
    """-inf in many places and exact zeros in all others; never NaN, never all of it."""
    result = judge([tensor])
    assert result.outcome is outcome
    (details,) = result.details["tensors"]
    assert details["role"] == (OTHER if outcome is Outcome.WARN else MODEL)
    assert details["decided_by"]
