"""Inputs that are made for a model, and what its outputs are judged by; no TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest

from checkpointd.golden import Golden, SignatureRun
from checkpointd.verify.load import outputs
from checkpointd.verify.load.inputs import feeding
from checkpointd.verify.load.inputs.limits import ExampleFeature, InputLimits
from checkpointd.verify.load.inputs.made_inputs import CannotMakeError, tries
from checkpointd.verify.load.inputs.made_texts import png, text_for
from checkpointd.verify.load.loaded import ArraySpec, Signature

NAN, INF = np.nan, np.inf


def signature(*inputs: ArraySpec, in_parts: bool = True) -> Signature:
    """A signature that only declares its inputs."""
    return Signature(inputs, (), dict, in_parts)


def test_the_likeliest_inputs_come_first_and_all_keep_to_the_spec() -> None:
    """A batch of one, floats between 0 and 1, whole numbers one; then others."""
    made = list(
        tries(signature(ArraySpec("x", "float32", (None, 3)), ArraySpec("n", "int64", (None, 2))))
    )
    first = made[0].arrays
    assert first["x"].shape == (1, 3)
    assert 0 < first["x"].min() < first["x"].max() < 1
    assert (first["n"] == 1).all()
    assert {feed.arrays["x"].shape for feed in made} == {(1, 3), (2, 3)}
    assert any(not feed.arrays["n"].any() for feed in made)
    assert any(feed.arrays["x"].max() > 100 for feed in made)


def test_open_sizes_are_the_same_for_all_inputs_and_never_too_large() -> None:
    """Words and their mask have one length; pictures do not fill the memory."""
    words = ArraySpec("words", "int32", (None, None))
    made = list(tries(signature(words, ArraySpec("mask", "int32", (None, None)))))
    assert all(f.arrays["words"].shape == f.arrays["mask"].shape for f in made)
    assert {f.arrays["words"].shape[1] for f in made} >= {1, 2, 8, 512, 16000}
    pictures = tries(signature(ArraySpec("x", "float32", (None, None, None, 64))))
    assert max(feed.arrays["x"].size for feed in pictures) <= 4 << 20


def test_an_input_of_unknown_rank_is_tried_as_a_vector_a_number_and_a_matrix() -> None:
    """The rank is whatever the model takes."""
    shapes = [feed.arrays["x"].shape for feed in tries(signature(ArraySpec("x", "float32", None)))]
    assert {(1,), (), (1, 1)} <= set(shapes)


def test_parts_of_ragged_and_sparse_inputs_hold_together() -> None:
    """Splits end where the values end, and an index lies within the shape."""
    parts = (ArraySpec("x", "float32", (None,)), ArraySpec("x_1", "int64", (None,)))
    first = next(iter(tries(signature(*parts)))).arrays
    assert first["x_1"].tolist() == [0, 1]
    assert len(first["x"]) == 1
    sparse = next(
        iter(
            tries(
                signature(
                    ArraySpec("w_indices", "int64", (None, 2)),
                    ArraySpec("w_values", "string", (None,)),
                    ArraySpec("w_dense_shape", "int64", (2,)),
                )
            )
        )
    ).arrays
    assert sparse["w_indices"].tolist() == [[0, 0]]
    assert sparse["w_dense_shape"].tolist() == [1, 1]


def test_a_length_is_that_of_what_it_belongs_to() -> None:
    """Recurrent models take the number of steps beside the steps."""
    both = signature(
        ArraySpec("steps", "float32", (None, None, 4)), ArraySpec("lengths", "int32", (None,))
    )
    assert next(iter(tries(both))).arrays["lengths"].tolist() == [8]


def test_a_type_that_cannot_be_made_is_reported() -> None:
    """A signature that takes a resource is not run on made inputs."""
    with pytest.raises(CannotMakeError, match="of the type resource"):
        next(iter(tries(signature(ArraySpec("t", "resource", ())))))


def test_texts_are_what_the_graph_reads() -> None:
    """Words of the table, an encoded image, one number a column, JSON, base64."""
    feature = ExampleFeature("n", "float32", (2,), InputLimits())
    cases = {
        b"cat": InputLimits(words=[b"cat"]),
        png(): InputLimits(kinds={"image"}),
        b"1,1,1": InputLimits(kinds={"csv"}, columns=3),
        b"d29yZHM": InputLimits(kinds={"base64"}),
        b'{"features": {"feature": {"n": {"floatList": {"value": [1.0, 1.0]}}}}}': InputLimits(
            kinds={"example", "json"}, features=[feature]
        ),
    }
    for expected, limits in cases.items():
        made = text_for(limits, lambda _: np.ones(2, np.float32), plain=b"words")
        assert made == expected


@pytest.mark.parametrize(
    ("gives", "gave", "places"),
    [
        ([1.0, NAN], [1.0, 2.0], 1),
        ([-INF, NAN], [-INF, 2.0], 1),
        ([1.0, -INF], [1.0, -INF], None),
        ([NAN, 1.0], [NAN, 1.0], None),
        ([NAN, 1.0], [INF, 1.0], None),
        ([1.0, 2.0], [NAN, 2.0], None),
    ],
)
def test_what_the_original_gave_too_is_as_it_should_be(
    gives: list[float], gave: list[float], places: int | None
) -> None:
    """Only a place where the original gave a number counts."""
    odd = outputs.non_finite({"y": np.array(gives)}, {"other": np.array(gave)})
    assert (odd.recorded if odd else None) == places


def test_without_a_record_it_is_not_known_whether_nan_is_right() -> None:
    """It is found, and fails nothing."""
    for expected in ({}, {"y": np.zeros(3)}, {"y": np.zeros(2), "z": np.zeros(2)}):
        odd = outputs.non_finite({"a": np.array([1, NAN])}, expected)
        assert odd is not None
        assert odd.recorded is None


def test_another_shape_than_declared_counts_where_the_original_gave_another() -> None:
    """TensorFlow lets a graph declare what it does not keep."""
    declared = (ArraySpec("y", "float32", (None, 2)),)
    for gave, recorded in (({}, False), ({"y": np.zeros(3)}, False), ({"y": np.zeros(2)}, True)):
        shaped = outputs.misshapen(declared, {"y": np.zeros(3)}, gave)
        assert shaped is not None
        assert shaped.recorded is recorded
    assert outputs.misshapen(declared, {"y": np.zeros((3, 2))}, {}) is None


def test_golden_inputs_are_evidence_for_what_they_were_recorded_with() -> None:
    """Another signature that happens to take such arrays may refuse them."""
    x = np.ones((1, 2), np.float32)
    takes = signature(ArraySpec("x", "float32", (None, 2)))
    record = Golden(
        inputs={"x": x}, outputs={"y": x}, signatures={"a": SignatureRun({"x": x}, {"y": x})}
    )
    own = feeding.from_record(record, takes, "a")
    other = feeding.from_record(record, takes, "serving_default")
    assert own is not None
    assert other is not None
    assert (own.proven, other.proven) == (True, False)
    assert list(own.expected) == ["y"]
    assert not other.expected
