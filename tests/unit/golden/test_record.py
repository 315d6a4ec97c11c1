"""The golden record: what is written is what is read, and nothing else is believed."""

from __future__ import annotations

import json
import os
import zipfile
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkpointd import golden
from checkpointd.core.format_specs import Format
from checkpointd.golden import Golden, GoldenError

if TYPE_CHECKING:
    from pathlib import Path


def same(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two arrays have the same type, shape and values."""
    return (
        first.dtype == second.dtype
        and first.shape == second.shape
        and first.tolist() == second.tolist()
    )


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    """Every field of a record survives writing and reading."""
    written = Golden(
        inputs={"left/1": np.arange(6.0).reshape(2, 3), "right": np.zeros((2, 0), np.int64)},
        outputs={"output": np.float32([[1.5], [-0.0]])},
        compiled=True,
        digests=(golden.digest_of("dense/kernel", np.ones((3, 2), np.float32)),),
        metrics={"val_loss": 0.25},
        step=7,
        environment={"tensorflow": "2.21.0"},
        binding="abc",
        input_structure=golden.DICT,
        output_structure=golden.SINGLE,
        labels={"label": np.array([0, 1])},
        sample_weights={"a": np.ones(2), "b": np.zeros(2)},
        weight_structure=golden.DICT,
        optimizer={"class_name": "Adam", "config": {"beta_1": 0.9}},
    )
    path = str(tmp_path / "model.keras.golden.npz")
    golden.write(path, written)
    read = golden.read(path)
    for before, now in (
        (written.inputs, read.inputs),
        (written.outputs, read.outputs),
        (written.labels, read.labels),
        (written.sample_weights, read.sample_weights),
    ):
        assert list(before) == list(now)
        assert all(same(before[name], now[name]) for name in before)
    assert (read.compiled, read.digests, read.metrics) == (True, written.digests, written.metrics)
    assert (read.step, read.environment, read.binding) == (7, written.environment, "abc")
    assert (read.input_structure, read.output_structure) == (golden.DICT, golden.SINGLE)
    assert (read.label_structure, read.weight_structure) == (golden.SINGLE, golden.DICT)
    assert read.optimizer == written.optimizer


def test_a_record_from_before_there_were_labels_is_read(tmp_path: Path) -> None:
    """What such a record does not have is empty, and its version is the same."""
    path = str(tmp_path / "r.npz")
    golden.write(path, Golden(inputs={"x": np.zeros(2)}, step=7))
    with np.load(path) as arrays:
        held = {name: arrays[name] for name in arrays}
    meta = json.loads(held["meta"].tobytes())
    for name in ("labels", "sample_weights", "label_structure", "weight_structure", "optimizer"):
        del meta[name]
    np.savez(path, **{**held, "meta": np.frombuffer(json.dumps(meta).encode(), np.uint8)})
    read = golden.read(path)
    assert (read.step, dict(read.labels), dict(read.optimizer)) == (7, {}, {})


@given(st.lists(st.one_of(st.text(max_size=5), st.just("ü\0")), min_size=1, max_size=6))
def test_strings_need_no_pickle(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    """Texts and bytes of any length, with zeros in them, come back whole."""
    path = str(tmp_path_factory.mktemp("record") / "r.npz")
    words = np.array(texts, object).reshape(-1, 1)
    raw = np.array([text.encode() for text in texts], object)
    golden.write(path, Golden(inputs={"words": words, "raw": raw}))
    read = golden.read(path)
    assert read.inputs["words"].tolist() == words.tolist()
    assert read.inputs["raw"].tolist() == raw.tolist()
    with np.load(path, allow_pickle=False) as arrays:
        assert all(arrays[name].dtype != object for name in arrays)


def test_writing_leaves_nothing_but_the_record(tmp_path: Path) -> None:
    """No temporary file stays, neither after a success nor after a failure."""
    path = str(tmp_path / "r.npz")
    golden.write(path, Golden())
    with pytest.raises(GoldenError, match="no strings"):
        golden.write(path, Golden(inputs={"x": np.array([{}], object)}))
    assert os.listdir(tmp_path) == ["r.npz"]
    assert golden.read(path) == Golden()


def test_bfloat16_is_kept_as_float32(tmp_path: Path) -> None:
    """Narrow floats that numpy does not know are stored in a type that holds all their values."""
    ml_dtypes = pytest.importorskip("ml_dtypes")
    path = str(tmp_path / "r.npz")
    golden.write(path, Golden(outputs={"y": np.array([1.5, -2], ml_dtypes.bfloat16)}))
    assert same(golden.read(path).outputs["y"], np.array([1.5, -2], np.float32))


def test_an_absent_record_is_not_a_damaged_one(tmp_path: Path) -> None:
    """No file is a FileNotFoundError, a damaged one a sentence that names it."""
    with pytest.raises(FileNotFoundError):
        golden.read(str(tmp_path / "none.npz"))
    path = tmp_path / "r.npz"
    golden.write(str(path), Golden(inputs={"x": np.arange(1000.0)}))
    whole = path.read_bytes()
    for damaged in (b"", b"PK", whole[:-30], whole.replace(b"format_version", b"format_versiom")):
        path.write_bytes(damaged)
        with pytest.raises(GoldenError, match="is damaged"):
            golden.read(str(path))


def test_a_flipped_bit_in_a_record_is_noticed(tmp_path: Path) -> None:
    """A record's own checksums hold, so a broken record never accuses a good checkpoint."""
    path = tmp_path / "r.npz"
    golden.write(str(path), Golden(inputs={"x": np.zeros(1000)}))
    data = bytearray(path.read_bytes())
    data[data.index(bytes(500)) + 400] ^= 1
    path.write_bytes(data)
    with pytest.raises(GoldenError):
        golden.read(str(path))


def test_a_compressed_record_is_refused(tmp_path: Path) -> None:
    """What could unpack to any size is not unpacked."""
    path = tmp_path / "r.npz"
    np.savez_compressed(path, meta=np.zeros(10_000_000, np.uint8))
    with pytest.raises(GoldenError, match="compressed"):
        golden.read(str(path))


def test_an_array_that_declares_more_than_it_holds_is_damage(tmp_path: Path) -> None:
    """No room is made for a header's word alone: the record cannot be used, and nothing more."""
    path = tmp_path / "x.golden.npz"
    for shape in ((1 << 60,), (1 << 20,)):
        with zipfile.ZipFile(path, "w") as archive, archive.open("meta.npy", "w") as file:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
        with pytest.raises(GoldenError, match="is damaged"):
            golden.read(str(path))


def test_a_record_of_another_version_is_refused_with_its_version(tmp_path: Path) -> None:
    """A record from a later checkpointd is named as such."""
    path = tmp_path / "r.npz"
    meta = np.frombuffer(json.dumps({"format_version": 99}).encode(), np.uint8)
    np.savez(path, meta=meta)
    with pytest.raises(GoldenError, match="format version 99"):
        golden.read(str(path))


def test_a_pickle_in_a_record_is_never_loaded(tmp_path: Path) -> None:
    """An object array, which numpy would unpickle, is damage."""
    path = tmp_path / "r.npz"
    np.savez(path, meta=np.array([print], object))
    with pytest.raises(GoldenError, match="is damaged"):
        golden.read(str(path))


def test_a_digest_does_not_depend_on_layout_or_byte_order() -> None:
    """The same values give the same digest, however they lie in memory."""
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    expected = golden.digest_of("w", values)
    assert golden.digest_of("w", np.asfortranarray(values)) == expected
    assert golden.digest_of("w", values.astype(">f4")) == expected
    assert golden.digest_of("w", np.float32(0)).shape == ()


@pytest.mark.parametrize(
    ("value", "structure", "names"),
    [
        (np.zeros((2, 3)), golden.SINGLE, ["input"]),
        ([[1.0, 2.0], [3.0, 4.0]], golden.SINGLE, ["input"]),
        ([np.zeros(2), np.ones(2)], golden.LIST, ["input_0", "input_1"]),
        ((np.zeros(2),), golden.LIST, ["input_0"]),
        ({"b": np.zeros(2), "a": [1, 2]}, golden.DICT, ["b", "a"]),
    ],
)
def test_inputs_keep_their_structure(value: object, structure: str, names: list[str]) -> None:
    """One array, several in order, and several by name are not mixed up, and put together again."""
    arrays, found = golden.name_inputs(value)
    assert (found, list(arrays)) == (structure, names)
    again, found_again = golden.name_inputs(golden.assemble(arrays, found))
    assert found_again == structure
    assert all(same(arrays[name], again[name]) for name in names)


def test_records_lie_beside_files_and_inside_directories() -> None:
    """The place of a record follows from the checkpoint's path and format."""
    assert golden.path_for("/a/ckpt-7", Format.TF_CHECKPOINT) == "/a/ckpt-7.golden.npz"
    assert golden.path_for("/a/m.h5", Format.HDF5) == "/a/m.h5.golden.npz"
    assert golden.path_for("/a/1", Format.SAVEDMODEL) == "/a/1/assets.extra/golden.npz"


def test_a_checkpoint_without_a_save_id_binds_to_nothing(tmp_path: Path) -> None:
    """A file that something else wrote has an empty binding; ours has its id."""
    archive, file = str(tmp_path / "m.keras"), str(tmp_path / "m.h5")
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("config.json", "{}")
    with h5py.File(file, "w"):
        pass
    assert golden.binding_of(archive, Format.KERAS) == ""
    assert golden.binding_of(file, Format.HDF5) == ""
    with zipfile.ZipFile(archive, "a") as opened:
        opened.comment = golden.ZIP_COMMENT_PREFIX + b"1f"
    with h5py.File(file, "r+") as opened_file:
        opened_file.attrs[golden.SAVE_ID_ATTRIBUTE] = "2f"
    assert golden.binding_of(archive, Format.KERAS) == "1f"
    assert golden.binding_of(file, Format.HDF5_WEIGHTS) == "2f"


def test_a_saved_model_is_bound_by_its_graph_and_its_variables(tmp_path: Path) -> None:
    """The graph alone is the same from epoch to epoch: the variables' index counts too."""
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"graph")
    index = tmp_path / "variables" / "variables.index"
    index.write_bytes(b"one")
    first = golden.binding_of(str(tmp_path), Format.SAVEDMODEL)
    index.write_bytes(b"two")
    assert first.startswith("crc:")
    assert golden.binding_of(str(tmp_path), Format.SAVEDMODEL) != first
