"""Containers built by hand: what is read from them, and what is refused."""

from __future__ import annotations

import contextlib
import zipfile
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from checkpointd.core.format_specs import Format
from checkpointd.formats import FormatError, generation_of
from checkpointd.tensors import Contents, hdf5, hdf5_tree, object_graph, reading, roles, unique
from tests.helpers.bundles import VALUE, write_bundle
from tests.helpers.files import flip
from tests.helpers.scan import write_weights

if TYPE_CHECKING:
    from pathlib import Path


def contents(path: Path, kind: Format) -> Contents:
    """Plan and read a checkpoint."""
    plan = reading.plan(str(path), kind, generation_of(str(path), kind))
    with contextlib.closing(plan):
        return reading.read(plan)


def test_a_bundle_of_two_shards_gives_every_tensor_in_the_order_of_its_index(
    tmp_path: Path,
) -> None:
    """Values, types and counts come back from both shards."""
    tensors = {
        f"a{VALUE}": np.arange(6, dtype=np.float32).reshape(2, 3),
        f"b{VALUE}": np.array([True, False]),
        f"c{VALUE}": np.array([1 + 2j, np.nan], np.complex64),
        f"d{VALUE}": np.array(7, np.int64),
        f"e{VALUE}": np.zeros((0, 4), np.float16),
    }
    write_bundle(tmp_path / "ckpt-1", tensors, shards=2)
    found = contents(tmp_path / "ckpt-1", Format.TF_CHECKPOINT)
    assert [t.name for t in found.tensors] == ["a", "b", "c", "d", "e"]
    assert [t.shape for t in found.tensors] == [(2, 3), (2,), (2,), (), (0, 4)]
    assert found.tensors[0].sum_of_squares == 55
    assert found.tensors[2].nan == 1
    assert found.problems == ()


def test_bfloat16_of_a_bundle_is_counted_by_its_values(tmp_path: Path) -> None:
    """A NaN and an infinity are found in a type that numpy does not have."""
    codes = np.array([0x3F80, 0x7F80, 0x7FC0, 0xC000], np.uint16)
    write_bundle(tmp_path / "ckpt-1", {f"w{VALUE}": codes}, named="bfloat16")
    (found,) = contents(tmp_path / "ckpt-1", Format.TF_CHECKPOINT).tensors
    assert (found.dtype, found.nan, found.inf, found.sum_of_squares) == ("bfloat16", 1, 1, 5)


def test_a_flipped_bit_in_a_shard_names_the_tensor(tmp_path: Path) -> None:
    """The CRC32C in the index shows which tensor is not what was written."""
    tensors = {f"a{VALUE}": np.ones(8, np.float32), f"b{VALUE}": np.ones(8, np.float32)}
    write_bundle(tmp_path / "ckpt-1", tensors)
    flip(tmp_path / "ckpt-1.data-00000-of-00001", 40)
    (problem,) = contents(tmp_path / "ckpt-1", Format.TF_CHECKPOINT).problems
    assert problem.word == "checksum_mismatch"
    assert problem.message.startswith("b: ")


def test_an_index_that_gives_a_tensor_the_wrong_size_is_malformed(tmp_path: Path) -> None:
    """Bytes and shape must agree before anything is made of them."""
    write_bundle(tmp_path / "ckpt-1", {f"a{VALUE}": np.ones(8, np.uint16)}, named="float32")
    with pytest.raises(FormatError, match="needs 32"):
        contents(tmp_path / "ckpt-1", Format.TF_CHECKPOINT)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"chunks": (7, 3)},
        {"chunks": (40, 30), "compression": "gzip"},
        {"chunks": (5, 30), "shuffle": True, "fletcher32": True},
    ],
)
def test_hdf5_values_are_the_same_however_they_are_stored(
    tmp_path: Path, options: dict[str, object]
) -> None:
    """In one piece, in chunks, compressed: the same checksum and the same counts."""
    values = np.random.default_rng(5).normal(size=(40, 30)).astype(np.float32)
    values[3, 4] = np.nan
    plain, stored = tmp_path / "plain.weights.h5", tmp_path / "stored.weights.h5"
    write_weights(plain, {"dense": values})
    write_weights(stored, {"dense": values}, **options)
    one, other = (contents(p, Format.HDF5_WEIGHTS).tensors[0] for p in (plain, stored))
    assert one.name == other.name == "dense/vars/0"
    assert (one.crc32, one.nan) == (other.crc32, other.nan)
    assert one.sum_of_squares == pytest.approx(other.sum_of_squares)


def test_a_chunk_that_is_larger_than_the_cache_is_unpacked_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache of its dataset holds one; otherwise each piece that is read unpacks it again."""
    monkeypatch.setattr(hdf5_tree, "CHUNK_CACHE", 1 << 10)
    path = tmp_path / "m.weights.h5"
    values = np.ones((40, 30), np.float32)
    write_weights(path, {"dense": values}, chunks=(40, 30), compression="gzip")
    (spec,) = hdf5.plan(str(path)).specs
    with hdf5.open_hdf5(str(path)) as handle:
        dataset = hdf5_tree.open_dataset(handle, spec.key)
        assert dataset.id.get_access_plist().get_chunk_cache()[1] == values.nbytes
        assert np.array_equal(dataset[:3], values[:3])


def test_big_endian_values_have_the_checksum_of_what_is_in_memory(tmp_path: Path) -> None:
    """A golden record holds little-endian bytes, whatever the file does."""
    values = np.arange(5, dtype="<f4")
    write_weights(tmp_path / "a.weights.h5", {"dense": values})
    write_weights(tmp_path / "b.weights.h5", {"dense": values.astype(">f4")})
    one, other = (
        contents(tmp_path / name, Format.HDF5_WEIGHTS).tensors[0]
        for name in ("a.weights.h5", "b.weights.h5")
    )
    assert (one.crc32, one.dtype) == (other.crc32, other.dtype)


@pytest.mark.parametrize("options", [{"fletcher32": True}, {"compression": "gzip"}])
def test_a_flipped_bit_that_hdf5_itself_notices_is_a_checksum_mismatch(
    tmp_path: Path, options: dict[str, object]
) -> None:
    """Fletcher32 and the compression's own checksum become one sentence that names the tensor."""
    path = tmp_path / "m.weights.h5"
    write_weights(
        path, {"dense": np.random.default_rng(1).normal(size=5000)}, chunks=True, **options
    )
    with h5py.File(path, locking=False) as file:
        chunk = file["layers/dense/vars/0"].id.get_chunk_info(0)
    flip(path, chunk.byte_offset + chunk.size // 2)
    (problem,) = contents(path, Format.HDF5_WEIGHTS).problems
    assert problem.word == "checksum_mismatch"
    assert problem.message.startswith("dense/vars/0: its bytes are not those that were written")


def test_an_hdf5_file_without_keras_in_it_is_no_models(tmp_path: Path) -> None:
    """A data set has another layout and is left alone."""
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["x_train"] = np.ones(9)
    plan = reading.plan(
        str(tmp_path / "data.h5"),
        Format.HDF5,
        generation_of(str(tmp_path / "data.h5"), Format.HDF5),
    )
    assert plan.format is Format.UNKNOWN


def test_weights_of_a_model_without_its_configuration_are_malformed(tmp_path: Path) -> None:
    """A damaged attribute must not turn a model into a mere data set."""
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["model_weights/dense/dense/kernel:0"] = np.ones(9)
    with pytest.raises(FormatError, match="no model_config"):
        contents(tmp_path / "m.h5", Format.HDF5)


def test_links_out_of_the_file_are_not_followed(tmp_path: Path) -> None:
    """Soft and external links are not followed, a dataset with two names is read once."""
    write_weights(tmp_path / "other.weights.h5", {"secret": np.ones(3)})
    with h5py.File(tmp_path / "m.weights.h5", "w") as file:
        vars_group = file.create_group("layers/dense/vars")
        vars_group["0"] = np.ones(4, np.float32)
        vars_group["1"] = vars_group["0"]
        vars_group["2"] = h5py.ExternalLink("other.weights.h5", "/layers/secret/vars/0")
        vars_group["3"] = h5py.SoftLink("/layers/dense/vars/0")
    found = contents(tmp_path / "m.weights.h5", Format.HDF5_WEIGHTS)
    assert [t.key for t in found.tensors] == ["layers/dense/vars/0"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_keras_archive_gives_the_tensors_of_the_file_inside(tmp_path: Path, method: int) -> None:
    """Stored members are read where they lie, compressed ones are unpacked first."""
    values = np.random.default_rng(2).normal(size=(300, 40)).astype(np.float32)
    write_weights(tmp_path / "w.weights.h5", {"dense": values})
    write_archive(tmp_path / "m.keras", tmp_path / "w.weights.h5", method)
    inside = contents(tmp_path / "m.keras", Format.KERAS)
    alone = contents(tmp_path / "w.weights.h5", Format.HDF5_WEIGHTS)
    assert inside.tensors == alone.tensors
    assert inside.problems == ()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_flipped_bit_in_a_member_of_an_archive_names_the_member(
    tmp_path: Path, method: int
) -> None:
    """The zip's CRC32 covers the weights, whichever way they are packed."""
    values = np.random.default_rng(2).normal(size=(300, 40)).astype(np.float32)
    write_weights(tmp_path / "w.weights.h5", {"dense": values})
    write_archive(tmp_path / "m.keras", tmp_path / "w.weights.h5", method)
    flip(tmp_path / "m.keras", (tmp_path / "m.keras").stat().st_size // 2)
    found = contents(tmp_path / "m.keras", Format.KERAS)
    assert [p.word for p in found.problems] == ["checksum_mismatch"]
    assert "model.weights.h5" in found.problems[0].message


def write_archive(path: Path, weights: Path, method: int) -> None:
    """Pack a weights file as Keras does."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
        archive.writestr("config.json", '{"class_name": "Sequential", "config": {}}')
        archive.write(weights, "model.weights.h5")


def test_the_digest_changes_with_any_byte_and_not_with_the_path(tmp_path: Path) -> None:
    """The same content elsewhere has the same digest; one flipped bit gives another."""
    for name in ("a", "b"):
        write_bundle(tmp_path / name, {f"w{VALUE}": np.ones(8, np.float32)})
    first = contents(tmp_path / "a", Format.TF_CHECKPOINT).digest
    assert contents(tmp_path / "b", Format.TF_CHECKPOINT).digest == first
    flip(tmp_path / "b.data-00000-of-00001", 3)
    assert contents(tmp_path / "b", Format.TF_CHECKPOINT).digest != first


@pytest.mark.parametrize(
    ("key", "role"),
    [
        (f"model/dense/kernel{VALUE}", "model"),
        (f"optimizer/_trainable_variables/0{VALUE}", "model"),
        (f"optimizer/_variables/3{VALUE}", "optimizer"),
        (f"opt/_variables/3{VALUE}", "optimizer"),
        (f"dense/kernel/.OPTIMIZER_SLOT/opt/m{VALUE}", "optimizer"),
        (f"keras_api/metrics/0/total{VALUE}", "other"),
        (f"model/_metrics/1/confusion{VALUE}", "other"),
        (f"model/metrics/kernel{VALUE}", "model"),
        (f"save_counter{VALUE}", "other"),
        ("w", "model"),
        ("w/Adam_1", "optimizer"),
        ("beta1_power", "optimizer"),
        ("global_step", "other"),
    ],
)
def test_the_role_of_a_bundles_entry_follows_from_its_key(key: str, role: str) -> None:
    """Every generation of TensorFlow names its optimizer's variables in its own way."""
    known = roles.optimizers([f"opt/_iterations{VALUE}"])
    assert roles.of_bundle(key, known).role == role


@pytest.mark.parametrize(
    ("key", "role"),
    [
        ("model_weights/dense/dense/kernel:0", "model"),
        ("optimizer_weights/Adam/m/dense/kernel:0", "optimizer"),
        ("layers/dense/vars/0", "model"),
        ("encoder/dense/vars/0", "model"),
        ("optimizer/vars/0", "optimizer"),
        ("layers/inner/optimizer/vars/2", "optimizer"),
        ("metrics/mean/vars/0", "other"),
        ("layers/metrics/vars/0", "model"),
    ],
)
def test_the_role_of_a_dataset_follows_from_its_path(key: str, role: str) -> None:
    """Keras's two HDF5 layouts keep the optimizer's variables apart from the model's."""
    assert roles.of_hdf5(key).role == role


@pytest.mark.parametrize(
    ("key", "role"),
    [
        (f"best_loss{VALUE}", "other"),
        (f"step{VALUE}", "other"),
        (f"model/loss_scale/current{VALUE}", "other"),
        (f"optimizer/_trainable_variables/4{VALUE}", "model"),
        ("best_loss", "other"),
        ("layers/custom/vars/1", "other"),
        ("layers/dropout/seed_generator/vars/0", "other"),
        ("model_weights/dropout/seed_generator_state:0", "other"),
    ],
)
def test_a_single_number_and_a_random_state_are_no_weights(key: str, role: str) -> None:
    """Unless an optimizer trains it; and what decided the role is reported."""
    role_of = roles.of_hdf5 if "/vars/" in key or ":0" in key else roles.of_bundle
    assert role_of(key, shape=()).role == role
    assert role_of(key, shape=()).decided_by


def test_the_graph_of_objects_may_hold_anything() -> None:
    """Garbage gives nothing, and nodes that are not there are left out."""
    assert object_graph.parse(b"\x00garbage") == object_graph.ObjectGraph()
    assert object_graph.parse(b"") == object_graph.ObjectGraph()
    child = b"\x08\x63\x12\x05model"  # node 99
    node = b"\x0a" + bytes([len(child)]) + child
    root = b"\x0a" + bytes([len(node)]) + node
    assert object_graph.parse(root) == object_graph.ObjectGraph()


def test_a_name_that_two_tensors_share_gives_way_to_the_key() -> None:
    """Names stay unique, and as short as that allows."""
    assert unique([("k", "a"), ("k", "b"), ("v", "c")]) == ["a", "b", "v"]


def test_an_array_is_cut_into_slabs_that_cover_it_in_order() -> None:
    """No slab is beyond the budget, even where one row is."""
    values = np.arange(2 * 50 * 3).reshape(2, 50, 3)
    parts = [values[i].reshape(-1) for i in hdf5.slabs(values.shape, 8, budget=100)]
    assert max(p.nbytes for p in parts) <= 100
    assert (np.concatenate(parts) == values.reshape(-1)).all()


@pytest.mark.parametrize(
    ("attributes", "weights", "others"),
    [
        (
            {"model_config": "{}"},
            ["model_weights/dense/dense/kernel:0", "optimizer_weights/Adam/m:0"],
            ["history/val_loss", "notes"],
        ),
        (
            {"layer_names": [b"dense", b"block/conv"]},
            ["dense/dense/kernel:0", "block/conv/w:0", "top_level_model_weights/v:0"],
            ["history/val_loss", "block/mean"],
        ),
        ({}, ["layers/dense/vars/0", "optimizer/vars/0"], ["history/val_loss", "labels"]),
    ],
)
def test_what_somebody_added_beside_the_weights_is_none(
    attributes: dict[str, Any], weights: list[str], others: list[str], tmp_path: Path
) -> None:
    """A history with NaN, labels, statistics: Keras never reads them."""
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file.attrs.update(attributes)
        for name in (*weights, *others):
            file[name] = np.full(3, np.nan)
        found = hdf5.layout(file, 1 << 20).datasets
    assert sorted(d.spec.key for d in found if d.spec.role == "other") == sorted(others)
