"""`finite` decided by counts alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from checkpointd.checkpoint import Outcome
from checkpointd.tensors import MODEL, OPTIMIZER, OTHER, TensorStats
from checkpointd.verify.finite import judge


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
    """Overflow is told from NaN, because the cure is another."""
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
