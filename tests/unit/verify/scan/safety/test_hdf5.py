"""HDF5 files whose values lie elsewhere, or that declare what was never stored."""

from __future__ import annotations

import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import pytest

from checkpointd.core.check_result import Outcome
from checkpointd.core.request import End
from checkpointd.formats import FormatError, bounded_json
from checkpointd.tensors import hdf5, hdf5_tree
from tests.helpers.scan import scanned, write_weights

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRET = b"secret bytes of another file, which nobody may find in a weight"
CONFIG = '{"class_name": "Sequential", "config": {"name": "m", "layers": []}}'


def weights(path: Path, change: Callable[[Any], None]) -> Path:
    """Write a file of weights with one sound dataset, and change it."""
    write_weights(path, {"dense": np.ones((4, 3), np.float32)})
    with h5py.File(path, "r+") as file:
        change(file)
    return path


def packed(path: Path, inside: Path, method: int = zipfile.ZIP_STORED) -> Path:
    """Pack a file of weights into a `.keras` archive."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.15.1"}')
        archive.writestr("config.json", CONFIG)
        archive.write(inside, "model.weights.h5")
    return path


def external(file: Any) -> None:
    """Keep a dataset's values in another file."""
    place = ("secret.bin", 0, 16)
    file["layers/dense/vars"].create_dataset("1", (4,), "f4", external=[place])


def virtual(file: Any) -> None:
    """Take a dataset's values from another file's dataset."""
    layout = h5py.VirtualLayout((4,), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "x", (4,))
    file["layers/dense/vars"].create_virtual_dataset("1", layout)


def link(to: Any, name: str = "layers/dense/vars/1") -> Callable[[Any], None]:
    """Add a link that leads elsewhere."""
    return lambda file: file.__setitem__(name, to)


FOREIGN = {
    "external storage": (external, "secret.bin"),
    "virtual dataset": (virtual, "other.h5"),
    "external link": (link(h5py.ExternalLink("/etc/x.h5", "/y")), "/etc/x.h5"),
    "external link of a group": (link(h5py.ExternalLink("o.h5", "/"), "layers/more"), "o.h5"),
    "dangling soft link": (link(h5py.SoftLink("/nowhere")), "/nowhere"),
    "circular soft link": (link(h5py.SoftLink("1")), "soft link"),
}


@pytest.mark.parametrize("in_archive", [False, True])
@pytest.mark.parametrize("kind", FOREIGN)
def test_values_that_lie_elsewhere_are_a_foreign_reference(
    tmp_path: Path, kind: str, in_archive: bool
) -> None:
    """Named with its place and where it leads; no weight is read, the foreign file neither."""
    (tmp_path / "secret.bin").write_bytes(SECRET)
    change, message = FOREIGN[kind]
    path = weights(tmp_path / "m.weights.h5", change)
    if in_archive:
        path = packed(tmp_path / "m.keras", path)
    seen = scanned(path)
    assert seen.checks["structure"].outcome is Outcome.PASS
    assert seen.checks["safety"].reason == "safety.foreign_reference"
    assert message in seen.checks["safety"].message
    assert seen.checks["integrity"].outcome is Outcome.SKIP
    assert seen.checks["finite"].outcome is Outcome.SKIP
    unsafe = scanned(path, skip=("structure", "safety", "integrity"))
    assert "1 tensor" in unsafe.checks["finite"].message


def test_links_within_the_file_are_in_order(tmp_path: Path) -> None:
    """Soft links to what is there, several in a row, relative ones, and hard links in a circle."""

    def change(file: Any) -> None:
        group = file["layers/dense/vars"]
        group["1"] = h5py.SoftLink("0")
        group["2"] = h5py.SoftLink("/layers/dense/vars/1")
        file["alias"] = h5py.SoftLink("layers")
        group["3"] = h5py.SoftLink("/alias/dense/vars/2")
        file["layers/again"] = file["layers"]

    seen = scanned(weights(tmp_path / "m.weights.h5", change))
    assert seen.clean, seen.checks


@pytest.mark.parametrize("chunked", [False, True])
def test_many_datasets_that_were_never_written_are_a_bomb_together(
    tmp_path: Path, chunked: bool
) -> None:
    """Each declares 1 MiB and holds nothing: twenty are too many, ten are not."""

    def change(file: Any) -> None:
        options = {"chunks": (1 << 16,)} if chunked else {}
        for number in range(20):
            file["layers/dense/vars"].create_dataset(f"{number + 1}", (1 << 18,), "f4", **options)

    path = weights(tmp_path / "m.weights.h5", change)
    seen = scanned(path)
    assert seen.end is End.INCOMPLETE  # a save that goes on would look like that
    assert seen.checks["safety"].reason == "safety.bomb"
    assert seen.checks["integrity"].outcome is Outcome.SKIP
    with h5py.File(path, "r+") as file:
        for number in range(10):
            del file[f"layers/dense/vars/{number + 1}"]
    assert scanned(path).checks["safety"].outcome is Outcome.PASS


def test_a_chunk_far_larger_than_its_dataset_is_a_bomb(tmp_path: Path) -> None:
    """A chunk is unpacked as a whole, whatever of it is a value."""

    def change(file: Any) -> None:
        dataset = file["layers/dense/vars"].create_dataset(
            "1", (16,), "f4", chunks=(100 << 20,), maxshape=(None,), compression="gzip"
        )
        dataset.id.write_direct_chunk((0,), zlib.compress(bytes(1 << 20)))

    path = weights(tmp_path / "m.weights.h5", change)
    assert scanned(path).checks["safety"].reason == "safety.bomb"


@pytest.mark.parametrize("in_archive", [False, True])
def test_what_unpacks_to_a_hundred_times_its_bytes_is_a_bomb(
    tmp_path: Path, in_archive: bool
) -> None:
    """The total counts, of datasets that are each below the bound; an archive around it too."""
    chunk = zlib.compress(bytes(32 << 20), 1)

    def change(file: Any) -> None:
        for number in range(9):
            dataset = file["layers/dense/vars"].create_dataset(
                f"{number + 1}", (8 << 20,), "f4", chunks=(8 << 20,), compression="gzip"
            )
            dataset.id.write_direct_chunk((0,), chunk)

    path = weights(tmp_path / "m.weights.h5", change)
    if in_archive:
        path = packed(tmp_path / "m.keras", path, zipfile.ZIP_DEFLATED)
    seen = scanned(path)
    assert seen.checks["safety"].reason == "safety.bomb"
    assert "on disk" in seen.checks["safety"].message


def test_compressed_moments_of_zeros_beside_weights_are_no_bomb(tmp_path: Path) -> None:
    """A fresh optimizer's slots pack a thousandfold, the weights beside them do not."""
    rng = np.random.default_rng(3)
    tensors = {"dense": rng.normal(size=(512, 512)).astype("f4"), "m": np.zeros((2048, 2048), "f4")}
    write_weights(tmp_path / "m.weights.h5", tensors, compression="gzip", chunks=True)
    seen = scanned(tmp_path / "m.weights.h5")
    assert seen.clean, seen.checks


def test_a_filter_that_is_a_plug_in_is_named_and_never_loaded(tmp_path: Path) -> None:
    """That it cannot be read here is not the checkpoint's fault: an error with what is missing."""

    def change(file: Any) -> None:
        space, kind = h5py.h5s.create_simple((4,)), h5py.h5t.NATIVE_FLOAT
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk((4,))
        plist.set_filter(32001, h5py.h5z.FLAG_OPTIONAL, ())
        h5py.h5d.create(file["layers/dense/vars"].id, b"1", kind, space, dcpl=plist)

    seen = scanned(weights(tmp_path / "m.weights.h5", change))
    assert seen.checks["integrity"].reason == "integrity.environment"
    assert "blosc (32001)" in seen.checks["integrity"].message
    assert seen.checks["safety"].outcome is Outcome.PASS


def test_groups_nested_without_end_are_malformed(tmp_path: Path) -> None:
    """No model has a hundred levels; their paths would take memory without end."""
    path = weights(tmp_path / "m.weights.h5", lambda file: file.create_group("/".join("a" * 200)))
    seen = scanned(path)
    assert seen.checks["structure"].reason == "structure.malformed"


def test_a_name_that_its_group_lists_and_lacks_is_malformed(tmp_path: Path) -> None:
    """One bit in the heap of names: the list is not in order any more, and a search misses."""
    path = tmp_path / "m.weights.h5"
    weights(path, lambda file: [file.create_group(name) for name in ("aaa", "bbb", "ccc")])
    path.write_bytes(path.read_bytes().replace(b"aaa\0", b"zaa\0", 1))
    assert scanned(path).reasons[0] == "structure.malformed"


def test_an_attribute_is_read_when_it_is_one_text(tmp_path: Path) -> None:
    """An array of texts can name one long text over and over."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["one"] = "text"
        file.attrs["bytes"] = np.bytes_(b"text")
        file.attrs["many"] = ["text"] * 3
        file.attrs["number"] = 7
    with hdf5.open_hdf5(str(tmp_path / "a.h5")) as file:
        names = ("one", "bytes", "many", "number", "none")
        texts = [hdf5_tree.text_attribute(file, name) for name in names]
    assert texts == ["text", "text", "", "", ""]


def test_a_configuration_nested_or_filled_without_end_is_malformed(tmp_path: Path) -> None:
    """A hundred thousand brackets are no RecursionError, two million no gigabyte."""
    for name, text in {"deep": "[" * 100_000, "wide": "[" + "[]," * 1_100_000 + "1]"}.items():
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file.create_group("model_weights")
            attribute = np.array(text, dtype=h5py.string_dtype())
            file.attrs.create("model_config", attribute)
        seen = scanned(tmp_path / f"{name}.h5")
        assert seen.checks["structure"].reason == "structure.malformed", name
    with pytest.raises(FormatError, match="far more values"):
        bounded_json.parse("[" + "1," * 8_100_000 + "1]", "It")
