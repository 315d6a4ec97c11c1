"""The objects of an HDF5 file: each once, by hard links alone, and what leads out of the file.

HDF5 can keep a dataset's values in any file of the system (external storage, virtual datasets),
and a link can lead into another HDF5 file (CVE-2026-1669). None of these is followed or read: they
are reported as facts, and `verify/scan/safety` judges them.
"""

from __future__ import annotations

import math
import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkpointd.formats import FormatError

import h5py  # isort: skip - its importer has forbidden HDF5 to lock files

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_OBJECTS = 1_000_000
_MAX_DEPTH = 128
_MAX_ATTRIBUTE = 64 << 20
_MAX_HOPS = 40
_MAX_FOREIGN = 100

CHUNK_CACHE = 32 << 20
"""Bytes of unpacked chunks that HDF5 keeps for each open dataset."""

_FILTERS = {4: "szip", 32000: "lzf", 32001: "blosc", 32004: "lz4", 32008: "bitshuffle"} | {
    32013: "zfp",
    32015: "zstd",
    32026: "blosc2",
}


@dataclass(frozen=True)
class ExternalReference:
    """A place in an HDF5 file whose content is elsewhere: `key` in it, and what leads where."""

    key: str
    what: str


@dataclass(frozen=True)
class Tree:
    """What a file holds: datasets by key with their values in it, and what leads elsewhere."""

    datasets: tuple[tuple[str, Any], ...]
    foreign: tuple[ExternalReference, ...]


def explore(handle: Any) -> Tree:
    """Visit every object of an open HDF5 file once.

    Raises:
        FormatError: it has more objects or deeper groups than any model has.
    """
    datasets: list[tuple[str, Any]] = []
    foreign: list[ExternalReference] = []
    for key, item in _visit(handle):
        if isinstance(item, ExternalReference):
            foreign += [item] if len(foreign) < _MAX_FOREIGN else []
            continue
        elsewhere = _storage_elsewhere(item)
        if elsewhere:
            foreign.append(ExternalReference(key, elsewhere))
        else:
            datasets.append((key, item))
    return Tree(tuple(datasets), tuple(foreign))


def _visit(handle: Any) -> Iterator[tuple[str, Any]]:
    """Return datasets, and links that lead elsewhere."""
    stack = [("", handle, 0)]
    seen = {_address(handle)}
    count = 0
    while stack:
        path, group, depth = stack.pop()
        below = []
        for name in group:
            count += 1
            if count > _MAX_OBJECTS:
                raise FormatError("malformed", "It holds more than a million objects.")
            key = f"{path}/{name}" if path else name
            elsewhere = _link_elsewhere(handle, group, name, path)
            if elsewhere is not None:
                if elsewhere:
                    yield key, ExternalReference(key, elsewhere)
                continue
            child = group[name]
            if _address(child) in seen:
                continue
            seen.add(_address(child))
            if isinstance(child, h5py.Dataset):
                yield key, child
            elif isinstance(child, h5py.Group):
                if depth >= _MAX_DEPTH:
                    raise FormatError("malformed", "Its groups are nested deeper than any model's.")
                below.append((key, child, depth + 1))
        stack.extend(reversed(below))


def _address(item: Any) -> int:
    return int(h5py.h5o.get_info(item.id).addr)


def _link_elsewhere(handle: Any, group: Any, name: str, path: str) -> str | None:
    """None for a hard link; where another kind leads to, empty if to an object in this file."""
    try:
        link = group.get(name, getlink=True)
    except TypeError:  # a kind of link that a plug-in would follow
        return "is a link of a user-defined kind"
    if link is None:
        raise FormatError("malformed", f"Its group {path or '/'!r} lists {name!r} and lacks it.")
    if isinstance(link, h5py.HardLink):
        return None
    if isinstance(link, h5py.ExternalLink):
        return f"is an external link to {link.path!r} in the file {link.filename!r}"
    inside = resolves(handle, posixpath.join("/", path, link.path))
    return "" if inside else f"is a soft link to {link.path!r}, which is not in the file"


def resolves(handle: Any, path: str) -> bool:
    """Whether a path leads to an object of this file, through hard and soft links alone."""
    waiting = [part for part in path.split("/") if part not in ("", ".")][::-1]
    group, done, hops = handle, "/", 0
    while waiting:
        part = waiting.pop()
        if not isinstance(group, h5py.Group) or part not in group.keys():  # noqa: SIM118 - `in` follows links
            return False
        link = group.get(part, getlink=True)
        if isinstance(link, h5py.HardLink):
            group, done = group[part], posixpath.join(done, part)
            continue
        hops += 1
        if not isinstance(link, h5py.SoftLink) or hops > _MAX_HOPS:
            return False
        whole = posixpath.join(done, link.path)
        waiting += [p for p in whole.split("/") if p not in ("", ".")][::-1]
        group, done = handle, "/"
    return True


def _storage_elsewhere(dataset: Any) -> str:
    """Where a dataset's values lie, if they are not in this file."""
    plist = dataset.id.get_create_plist()
    if plist.get_external_count():
        name = plist.get_external(0)[0]
        shown = name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
        return f"keeps its values in the file {shown!r} (external storage)"
    if plist.get_layout() == h5py.h5d.VIRTUAL:
        names = {plist.get_virtual_filename(i) for i in range(min(plist.get_virtual_count(), 3))}
        shown = ", ".join(repr(name) for name in sorted(names)) or "none"
        return f"takes its values from other datasets, in the files {shown} (a virtual dataset)"
    return ""


def open_dataset(handle: Any, key: str) -> Any:
    """Open a dataset so that each of its chunks is unpacked once, however large a chunk is.

    HDF5 unpacks a chunk as a whole, and again for each piece of it unless its cache holds it.

    Args:
        handle: the file.
        key: of the dataset, which nobody else has open.
    """
    dataset = handle[key]
    chunk = math.prod(dataset.chunks or (0,)) * int(dataset.dtype.itemsize)
    if chunk <= CHUNK_CACHE:
        return dataset
    del dataset
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(1, chunk, 1.0)
    return h5py.Dataset(h5py.h5d.open(handle.id, key.encode(), access))


def storage(dataset: Any, declared: int) -> tuple[int, int]:
    """Compare what a dataset declares with the storage that was allocated for it.

    Args:
        dataset: to examine.
        declared: bytes of its values.

    Returns:
        The bytes that nobody has ever written, and those by which its chunks are larger than its
        values: a chunk is unpacked as a whole.
    """
    plist = dataset.id.get_create_plist()
    if not declared or dataset.dtype.kind == "O":
        return 0, 0
    allocated = int(dataset.id.get_storage_size())
    if plist.get_layout() == h5py.h5d.CHUNKED:
        chunk = math.prod(plist.get_chunk()) * int(dataset.dtype.itemsize)
        allocated = int(dataset.id.get_num_chunks()) * chunk
    return max(0, declared - allocated), max(0, allocated - declared)


def missing_filters(dataset: Any) -> tuple[str, ...]:
    """Name the filters that a dataset's values went through and that nothing here undoes.

    They would have to be loaded as plug-ins, which is code: HDF5 is configured not to.
    """
    plist = dataset.id.get_create_plist()
    numbers = [int(plist.get_filter(i)[0]) for i in range(plist.get_nfilters())]
    return tuple(
        f"{_FILTERS.get(number, 'unknown')} ({number})"
        for number in numbers
        if not h5py.h5z.filter_avail(number)
    )


def text_attribute(item: Any, name: str) -> str:
    """Read an attribute that is one text; empty if it is not there, or is anything else.

    An array of texts can name one long text over and over, and take memory without end.

    Raises:
        FormatError: it is larger than any configuration.
    """
    if name not in item.attrs:
        return ""
    attribute = item.attrs.get_id(name)
    if math.prod(attribute.shape) != 1:
        return ""
    if attribute.get_storage_size() > _MAX_ATTRIBUTE:
        raise FormatError("malformed", f"The attribute {name} is larger than any configuration.")
    value = item.attrs[name]
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def groups_of_weights(handle: Any) -> frozenset[str] | None:
    """The groups in which Keras keeps weights; None where it is any group called `vars`."""
    if "model_weights" in handle:
        return frozenset({"model_weights", "optimizer_weights"})
    layers = set[str]()
    for name, value in handle.attrs.items():
        if name.startswith("layer_names"):
            names = value if hasattr(value, "__iter__") else ()
            layers |= {n.decode("utf-8", "replace") if isinstance(n, bytes) else n for n in names}
    return frozenset({*layers, "top_level_model_weights"}) if layers else None


def layer_of(handle: Any, key: str, known: dict[str, str]) -> str:
    """Name the layers that hold a variable of Keras 3's numbered ones, as in `mha/query`.

    Args:
        handle: the open file.
        key: of the variable, such as `layers/multi_head_attention/query_dense/vars/0`.
        known: the names of groups that were read before; it is added to.

    Returns:
        The names, outermost first; empty where the innermost layer's is not in the file.
    """
    groups = key.split("/")[:-2]
    if not groups or key.split("/")[-2] != "vars":
        return ""
    names = []
    for depth in range(1, len(groups) + 1):
        path = "/".join(groups[:depth]) + "/vars"
        if path not in known:
            known[path] = _name_of_variables(handle["/".join(groups[:depth])])
        names.append(known[path])
    return "/".join(name for name in names if name) if names[-1] else ""


def _name_of_variables(group: Any) -> str:
    if "vars" not in group.keys():  # noqa: SIM118 - `in` follows links
        return ""
    if not isinstance(group.get("vars", getlink=True), h5py.HardLink):
        return ""
    return text_attribute(group["vars"], "name")
