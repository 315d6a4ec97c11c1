"""The lists of names in an HDF5 file of Keras, and whether what they name is there.

Keras writes the list first: the layers of a model, the weights of each layer. An error half way,
such as two weights of one name, ends the save and leaves a file that HDF5 closes in good order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.tensors import hdf5_tree

import h5py  # isort: skip - its importer has forbidden HDF5 to lock files

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MOST = 100_000
_WEIGHTS = "model_weights"


def absent(handle: Any, keys: Iterable[str], foreign: Iterable[str]) -> str:
    """Name the first layer or weight of the lists that is not there as they have it, or nothing.

    HDF5 has one place for one name, so of two weights of a name it holds one at the most.

    Args:
        handle: an open file with a list of layers.
        keys: of all datasets in it.
        foreign: keys of what leads out of the file, which is not followed.
    """
    present, elsewhere = set(keys), tuple(foreign)
    top = ""
    if "layer_names" not in handle.attrs and "layer_names0" not in handle.attrs:
        top = f"{_WEIGHTS}/"
    if elsewhere or not hdf5_tree.resolves(handle, f"/{top}"):
        return ""
    for layer in _names(handle[top or "/"], "layer_names"):
        key = f"{top}{layer}"
        if not hdf5_tree.resolves(handle, f"/{key}"):
            return f"the layer {layer!r}, which is not in it"
        group = handle[key]
        if not isinstance(group, h5py.Group):
            continue
        seen = set[str]()
        for weight in _names(group, "weight_names"):
            where = f"{key}/{weight}"
            if weight in seen:
                return f"the weight {weight!r} of the layer {layer!r} twice"
            seen.add(weight)
            if where not in present and not hdf5_tree.resolves(handle, f"/{where}"):
                return f"the weight {weight!r} of the layer {layer!r}, which is not in it"
    return ""


def _names(group: Any, attribute: str) -> Iterator[str]:
    """The names in a list, which Keras cuts into several attributes where it is too long."""
    count = 0
    parts = [attribute] if attribute in group.attrs else []
    while f"{attribute}{len(parts)}" in group.attrs and len(parts) < _MOST:
        parts.append(f"{attribute}{len(parts)}")
    for part in parts:
        value = group.attrs[part]
        for name in value.reshape(-1) if hasattr(value, "reshape") else ():
            count += 1
            if count > _MOST:
                return
            if isinstance(name, bytes):
                yield name.decode("utf-8", "surrogateescape")
            elif isinstance(name, str):
                yield name
