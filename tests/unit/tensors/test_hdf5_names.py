"""The lists of names in an HDF5 file of Keras, and what a save that was stopped leaves of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from checkpointd.formats import FormatError
from checkpointd.tensors import hdf5

import h5py  # isort: skip - after checkpointd.tensors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WEIGHTS = {"dense": ("dense/kernel:0", "dense/bias:0"), "flatten": (), "a/b": ("k:0",)}


def written(path: Path, spoil: Callable[[Any], None], *, top: str = "") -> str:
    """A file as Keras's writer of HDF5 leaves it, with one thing undone."""
    with h5py.File(path, "w") as file:
        group = file.create_group(top) if top else file
        if top:
            file.attrs["model_config"] = "{}"
        group.attrs["layer_names"] = np.array([name.encode() for name in WEIGHTS])
        for layer, names in WEIGHTS.items():
            inner = group.create_group(layer)
            inner.attrs["weight_names"] = np.array([name.encode() for name in names])
            for name in names:
                inner[name] = np.ones((2, 2), np.float32)
        spoil(group)
    return str(path)


@pytest.mark.parametrize("top", ["", "model_weights"])
@pytest.mark.parametrize(
    ("spoil", "lacks"),
    [
        (lambda g: g.pop("flatten"), "the layer 'flatten', which is not in it"),
        (lambda g: g["dense"].pop("dense/bias:0"), "the weight 'dense/bias:0' of the layer"),
        (lambda g: g["a/b"].attrs.create("weight_names", [b"k:0", b"k:0"]), "'a/b' twice"),
        (lambda g: g.attrs.create("layer_names", [b"dense", b"gone"]), "the layer 'gone'"),
    ],
)
def test_a_save_that_was_stopped_half_way_is_known(
    spoil: Callable[[Any], None], lacks: str, top: str, tmp_path: Path
) -> None:
    """No loader finds what the list names: HDF5 itself was closed in good order."""
    with pytest.raises(FormatError, match="stopped half way") as raised:
        hdf5.plan(written(tmp_path / "m.h5", spoil, top=top))
    assert raised.value.word == "truncated"
    assert lacks in raised.value.message


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: None,
        lambda g: g.attrs.create("weight_names", [b"nowhere"]),  # of no layer
        lambda g: (
            g.move("dense", "other") or g.__setitem__("dense", h5py.SoftLink(f"{g.name}/other"))
        ),
        lambda g: g.create_group("more"),
        lambda g: g["flatten"].attrs.create("weight_names", np.zeros(0)),  # as numpy makes of []
    ],
)
def test_a_whole_file_lacks_nothing(spoil: Callable[[Any], None], tmp_path: Path) -> None:
    """Layers without weights, names that are paths, links within the file."""
    assert len(hdf5.plan(written(tmp_path / "m.h5", spoil)).specs) == 3


def test_a_list_that_is_cut_into_several_attributes_is_read_whole(tmp_path: Path) -> None:
    """Keras does that where an attribute of HDF5 is too small."""

    def cut(group: Any) -> None:
        del group.attrs["layer_names"]
        group.attrs["layer_names0"] = [b"dense", b"flatten"]
        group.attrs["layer_names1"] = [b"a/b", b"gone"]

    with pytest.raises(FormatError, match="the layer 'gone'"):
        hdf5.plan(written(tmp_path / "m.h5", cut))


def test_what_leads_out_of_the_file_is_not_followed(tmp_path: Path) -> None:
    """`safety` judges it."""

    def lead_out(group: Any) -> None:
        del group["dense"]
        group["dense"] = h5py.ExternalLink("other.h5", "/dense")

    planned = hdf5.plan(written(tmp_path / "m.h5", lead_out))
    assert [reference.key for reference in planned.layout.foreign] == ["dense"]
