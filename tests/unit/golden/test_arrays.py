"""What a golden record can hold besides dense arrays: ragged ones, signatures, nested outputs."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd import golden
from checkpointd.golden import Golden, GoldenError, SignatureRun
from checkpointd.golden.arrays import Ragged, flattened
from checkpointd.verify.load.comparison import compare
from checkpointd.verify.load.inputs import feeding
from checkpointd.verify.load.loaded import ArraySpec, Signature

if TYPE_CHECKING:
    from pathlib import Path

ROWS = Ragged(np.float32([1, 2, 3]), (np.array([0, 2, 2, 3]),))
DEEP = Ragged(np.array(["a", "bc", ""], object), (np.array([0, 2, 2]), np.array([0, 1, 3])))


def version_of(path: str) -> int:
    """The format version that a record was written with."""
    with np.load(path) as arrays:
        return int(json.loads(arrays["meta"].tobytes())["format_version"])


@pytest.mark.parametrize("value", [ROWS, DEEP])
def test_ragged_arrays_come_back(tmp_path: Path, value: Ragged) -> None:
    """Values and splits survive, strings in them too; the version keeps older readers away."""
    path = str(tmp_path / "r.npz")
    golden.write(path, Golden(inputs={"x": value}, outputs={"y": value}))
    read = golden.read(path)
    for found in (read.inputs["x"], read.outputs["y"]):
        assert isinstance(found, Ragged)
        assert found.shape == value.shape
        assert [c.tolist() for c in found.components] == [c.tolist() for c in value.components]
    assert version_of(path) == 2


def test_a_record_without_ragged_arrays_stays_readable_to_older_readers(tmp_path: Path) -> None:
    """Its format version is the first one, and what is new in it may be absent."""
    path = str(tmp_path / "r.npz")
    record = Golden(
        inputs={"x": np.zeros(2)}, stochastic=True, signatures={"s": SignatureRun({}, {})}
    )
    golden.write(path, record)
    assert version_of(path) == 1
    with np.load(path) as arrays:
        parts = dict(arrays)
    meta = json.loads(parts["meta"].tobytes())
    del meta["signatures"], meta["stochastic"]
    parts["meta"] = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    np.savez(path, **parts)
    old = golden.read(path)
    assert (old.stochastic, old.signatures) == (False, {})


@given(
    st.lists(st.integers(-3, 6), max_size=5),
    st.lists(st.integers(-3, 6), max_size=5),
)
def test_splits_that_lie_are_damage(
    tmp_path_factory: pytest.TempPathFactory, outer: list[int], inner: list[int]
) -> None:
    """TensorFlow reads beyond the values where the splits lie: no such record is believed."""
    path = str(tmp_path_factory.mktemp("record") / "r.npz")
    value = Ragged(np.zeros(3), (np.array(outer, int), np.array(inner, int)))
    golden.write(path, Golden(inputs={"x": value}))
    honest = (
        outer[:1] == inner[:1] == [0]
        and sorted(outer) == outer
        and sorted(inner) == inner
        and outer[-1] == len(inner) - 1
        and inner[-1] == 3
    )
    if honest:
        assert golden.read(path).inputs["x"].shape == value.shape
    else:
        with pytest.raises(GoldenError, match="damaged"):
            golden.read(path)


def test_what_signatures_gave_comes_back(tmp_path: Path) -> None:
    """Inputs and outputs of each, apart from the model's own."""
    path = str(tmp_path / "r.npz")
    run = SignatureRun({"x": np.arange(3)}, {"a": np.ones(2), "b": np.array([b"t"], object)})
    golden.write(path, Golden(signatures={"serve": run, "other": SignatureRun({}, {})}))
    read = golden.read(path).signatures
    assert list(read) == ["serve", "other"]
    assert read["serve"].inputs["x"].tolist() == [0, 1, 2]
    assert read["serve"].outputs["b"].tolist() == [b"t"]
    assert not read["other"].outputs


def test_nested_outputs_become_one_structure() -> None:
    """Names show where each output was; what is not nested stays what it was."""
    one, two, three = np.zeros(1), np.ones(1), np.full(1, 2.0)
    assert list(flattened({"a": one, "b": [two, {"c": three}]})) == ["a", "b/0", "b/1/c"]
    assert list(flattened([one, (two, three)])) == ["0", "1/0", "1/1"]
    for plain in (one, [one, two], {"a": one}, [[1.0, 2.0], [3.0, 4.0]]):
        assert flattened(plain) is plain
    arrays, structure = golden.name_outputs([one, (two, three)])
    assert (list(arrays), structure) == (["0", "1/0", "1/1"], golden.DICT)


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ([[1.0, 2.0], [3.0]], "tf.ragged.constant"),
        (SimpleNamespace(dense_shape=(2, 2)), "is sparse"),
    ],
)
def test_what_no_record_can_hold_is_reported(value: object, sentence: str) -> None:
    """Rows of different lengths without a ragged tensor, and sparse ones."""
    with pytest.raises(GoldenError, match=sentence):
        golden.name_inputs(value)


def test_ragged_outputs_are_compared_row_by_row() -> None:
    """Other lengths of rows are beyond any tolerance; values are compared as others are."""
    near = Ragged(ROWS.values + np.float32(1e-7), ROWS.splits)
    other = Ragged(ROWS.values, (np.array([0, 1, 2, 3]),))
    assert compare("y", ROWS, near, 1e-6, 1e-5).beyond == 0
    assert compare("y", ROWS, other, 1e30, 1e30).beyond == 3
    assert compare("y", ROWS, ROWS.values, 1e30, 1e30).beyond == 3
    assert compare("y", DEEP, DEEP, 0, 0).beyond == 0


def signature(*inputs: ArraySpec, in_parts: bool = True) -> Signature:
    """A signature that only declares its inputs."""
    return Signature(inputs, (), dict, in_parts)


PARTS = (
    ArraySpec("x", "float32", (None,)),
    ArraySpec("x_1", "int64", (None,)),
    ArraySpec("y", "int64", (None,)),
)


def test_a_saved_models_signature_takes_ragged_inputs_in_parts() -> None:
    """Values and splits under the names that TensorFlow gives them."""
    record = Golden(inputs={"x": ROWS, "y": np.arange(3)}, input_structure=golden.DICT)
    feed = feeding.from_record(record, signature(*PARTS))
    assert feed is not None
    assert [feed.arrays[name].tolist() for name in ("x", "x_1", "y")] == [
        [1, 2, 3],
        [0, 2, 2, 3],
        [0, 1, 2],
    ]
    whole = signature(ArraySpec("x", "float32", (None, None)), PARTS[2], in_parts=False)
    kept = feeding.from_record(record, whole)
    assert kept is not None
    assert kept.arrays["x"] is ROWS


def test_strings_do_not_fit_numbers() -> None:
    """A record of another signature is not held against this one."""
    text = Golden(inputs={"x": np.array([b"a"], object)})
    assert feeding.from_record(text, signature(ArraySpec("x", "float32", (None,)))) is None
    assert feeding.from_record(text, signature(ArraySpec("x", "string", (None,)))) is not None
