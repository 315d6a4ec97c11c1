"""HDF5 files of Keras: what is where, and how its values are read.

Datasets that lie in one piece, little-endian, are read at their offset in the file, many times
quicker than through HDF5. The rest (chunked, compressed, compact, big-endian) goes through h5py
in bounded slices; what HDF5's checksums report on the way becomes a `Problem`.
"""

from __future__ import annotations

import contextlib
import math
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, TypeVar

from checkpointd.formats import FormatError
from checkpointd.tensors import (
    MemberDigest,
    MembersRead,
    Problem,
    TensorSpec,
    TensorStats,
    hdf5_names,
    hdf5_tree,
    roles,
    unique,
)
from checkpointd.tensors.checksums import Block, Checksum
from checkpointd.tensors.source import opened
from checkpointd.tensors.statistics import item_size
from checkpointd.tensors.stream import ByteRange, Tally, arranged, stream
from checkpointd.tensors.window import Window

import h5py  # isort: skip - after checkpointd.tensors, which forbids HDF5 to lock files
import numpy as np  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.tensors.hdf5_tree import ExternalReference

SLICE = 8 << 20
"""Bytes of values asked of h5py at once."""

_CALL_SECONDS = 10.0
_LAYOUT_SECONDS = 60.0
_TOO_SHORT = re.compile(r"truncated file|addr overflow|file has been truncated")
_ERRNO = re.compile(r"errno = (\d+)")

_STOPPED = (
    "The save was stopped half way, as by two weights of one name: the HDF5 file's list names"
)

T = TypeVar("T")


@dataclass(frozen=True)
class Dataset:
    """A tensor in the file; `offset` is None where its values must be read through h5py."""

    spec: TensorSpec
    offset: int | None


@dataclass(frozen=True)
class Layout:
    """What an HDF5 file holds: `kind` is model, weights, or empty for what is no model's.

    `foreign` is in other files and is never read, `unallocated` are bytes that datasets declare
    and that were never written, `surplus` those by which chunks are larger than their datasets;
    `filters` name what would have to be loaded to read the values.
    """

    kind: str
    datasets: tuple[Dataset, ...]
    foreign: tuple[ExternalReference, ...] = ()
    unallocated: int = 0
    surplus: int = 0
    filters: tuple[str, ...] = ()


@contextlib.contextmanager
def open_hdf5(where: str | Window) -> Iterator[Any]:
    """Open an HDF5 file for reading for the length of a `with` block, without a lock.

    HDF5 reads through a `Source`, so that nothing of the file stays in the page cache.

    Raises:
        FormatError: it is truncated, or no HDF5 file.
        OSError: it could not be read.
    """
    with contextlib.ExitStack() as stack:
        if isinstance(where, str):
            source = stack.enter_context(opened(where))
            where = Window(source, 0, source.size)
        file = where
        cache = hdf5_tree.CHUNK_CACHE
        yield stack.enter_context(guarded(lambda: h5py.File(file, "r", rdcc_nbytes=cache)))


def guarded(action: Callable[[], T], seconds: float = _CALL_SECONDS) -> T:
    """Run a call into h5py; turn its complaint about the file into a `FormatError`.

    On some damaged files libhdf5 goes round in circles for ever, and nothing but a signal stops
    it: after `seconds` of CPU time this process ends by SIGVTALRM, which the daemon recognises.
    """
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        return action()
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as error:
        number = _errno_of(error)
        if number is not None:
            raise OSError(*number) from error
        text = str(error).strip("'\"")
        if _TOO_SHORT.search(text):
            raise FormatError("truncated", f"The HDF5 file was cut short: {text}") from error
        raise FormatError("malformed", f"The HDF5 file's structure is broken: {text}") from error
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)


def _errno_of(error: Exception) -> tuple[int, str] | None:
    """The operating system's error, where h5py reports one rather than the file's own faults."""
    if isinstance(error, OSError) and error.errno:
        return error.errno, error.strerror or str(error)
    match = _ERRNO.search(str(error))
    return (int(match.group(1)), str(error)) if match and int(match.group(1)) else None


def layout(handle: Any, size: int) -> Layout:
    """List the datasets of an open HDF5 file without reading their values.

    Args:
        handle: an `h5py.File`.
        size: of the file in bytes; no dataset may reach beyond.

    Raises:
        FormatError: the structure is broken, or points outside of the file.
    """
    return guarded(lambda: _layout(handle, size), _LAYOUT_SECONDS)


def _layout(handle: Any, size: int) -> Layout:
    attributes = set(handle.attrs)
    # a list of names that is too long for one attribute is kept in several
    legacy_weights = bool({"layer_names", "layer_names0"} & attributes)
    tree = hdf5_tree.explore(handle)
    found = tree.datasets
    keys = [key for key, _ in found] + [place.key for place in tree.foreign]
    if "model_config" in attributes:
        kind = "model"
    elif legacy_weights or any("vars" in key.split("/")[:-1] for key in keys):
        kind = "weights"
    elif "model_weights" in handle:
        raise FormatError(
            "malformed", "The HDF5 file holds a model's weights, and no model_config."
        )
    else:
        return Layout("", (), tree.foreign)
    lacks = hdf5_names.absent(handle, (key for key, _ in found), (f.key for f in tree.foreign))
    if lacks:
        raise FormatError("truncated", f"{_STOPPED} {lacks}.")
    names = unique((_wanted(handle, key, legacy_weights=legacy_weights), key) for key, _ in found)
    groups = hdf5_tree.groups_of_weights(handle)
    datasets: list[Dataset] = []
    layers: dict[str, str] = {}
    filters: set[str] = set()
    unallocated = surplus = 0
    for name, (key, dataset) in zip(names, found):
        dtype = _dtype_of(dataset)
        shape = tuple(int(n) for n in dataset.shape or ())
        stored = math.prod(shape) * int(dataset.dtype.itemsize) if dataset.shape is not None else 0
        path = key.replace("\\", "/")  # Keras 2.13 on Windows
        role = roles.beside_weights(path, groups) or roles.of_hdf5(
            path, shape, legacy_weights=legacy_weights
        )
        layer = hdf5_tree.layer_of(handle, key, layers)
        spec = TensorSpec(name, key, role.role, dtype, shape, stored, role.decided_by, layer)
        datasets.append(Dataset(spec, _offset_of(dataset, spec, size)))
        unwritten, beyond = hdf5_tree.storage(dataset, stored)
        unallocated, surplus = unallocated + unwritten, surplus + beyond
        filters.update(hdf5_tree.missing_filters(dataset))
    return Layout(kind, tuple(datasets), tree.foreign, unallocated, surplus, tuple(sorted(filters)))


def _wanted(handle: Any, key: str, *, legacy_weights: bool) -> str:
    """The variable's own name, as near as the file knows it."""
    parts = key.split("/")
    parts[-1] = parts[-1].removesuffix(":0")
    if legacy_weights and len(parts) > 1:
        return "/".join(parts[1:])
    if parts[0] == "model_weights" and len(parts) > 2:  # noqa: PLR2004 - model_weights/layer/name
        return "/".join(parts[2:])
    if parts[0] == "optimizer_weights":
        return "/".join(parts[1:])
    if len(parts) > 1 and parts[-2] == "vars":
        layer = hdf5_tree.text_attribute(handle[key.rsplit("/", 1)[0]], "name")
        if layer:
            return f"{layer}/vars/{parts[-1]}"
    return key


def _dtype_of(dataset: Any) -> str:
    # Keras stores bfloat16 as opaque bytes and marks them.
    declared = hdf5_tree.text_attribute(dataset, "dtype")
    if declared and item_size(declared) == dataset.dtype.itemsize:
        return declared
    return str(dataset.dtype.newbyteorder("<").name)


def _offset_of(dataset: Any, spec: TensorSpec, size: int) -> int | None:
    """Where the values lie in one piece, as they are in memory; None if they do not."""
    plist = dataset.id.get_create_plist()
    if plist.get_layout() != h5py.h5d.CONTIGUOUS or dataset.dtype.byteorder == ">":
        return None
    offset = dataset.id.get_offset()
    if offset is None or not spec.size_bytes:
        return None
    if offset + spec.size_bytes > size:
        raise FormatError("malformed", f"{spec.name}: its values would lie beyond the file's end.")
    return int(offset)


def read_slices(handle: Any, dataset: Dataset, tally: Tally) -> Problem | None:
    """Read one dataset through h5py in bounded slices.

    Returns:
        What HDF5's own checksum (Fletcher32, or that of the compression) found wrong.

    Raises:
        OSError: it could not be read.
    """
    spec = dataset.spec
    source = hdf5_tree.open_dataset(handle, spec.key)
    if source.dtype.kind == "O" or source.shape is None:
        return None
    plain = source.dtype.newbyteorder("<")
    try:
        for index in slabs(spec.shape, max(1, plain.itemsize)):
            values = np.ascontiguousarray(source[index], dtype=plain)
            tally.feed(Block(values.reshape(-1).view(np.uint8)))
    except (OSError, RuntimeError) as error:
        number = _errno_of(error)
        if number is not None:
            raise OSError(*number) from error
        return Problem(
            "checksum_mismatch",
            f"{spec.name}: its bytes are not those that were written ({str(error).strip()}).",
        )
    return None


def slabs(shape: tuple[int, ...], item_bytes: int, budget: int = SLICE) -> Iterator[Any]:
    """Cut an array into indices of at most `budget` bytes each, in C order."""
    if not shape:
        yield ()
        return
    rest = math.prod(shape[1:]) * item_bytes
    if rest > budget:
        for i in range(shape[0]):
            for inner in slabs(shape[1:], item_bytes, budget):
                yield (i, *inner)
        return
    step = max(1, budget // max(1, rest))
    for i in range(0, shape[0], step):
        yield (slice(i, min(i + step, shape[0])),)


@dataclass(frozen=True)
class HDF5Plan:
    """An HDF5 file ready to be read: what is where."""

    path: str
    layout: Layout

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """The tensors in it."""
        return tuple(d.spec for d in self.layout.datasets)


def plan(path: str) -> HDF5Plan:
    """Look at where everything is in an HDF5 file.

    Raises:
        FormatError: it is truncated, or its structure is broken.
        OSError: it could not be read.
    """
    with open_hdf5(path) as handle:
        found = layout(handle, Path(path).stat().st_size)
    pieces_of(found, 0)
    return HDF5Plan(path, found)


def read(
    planned: HDF5Plan, member: str = "", *, with_crc32: bool = False
) -> tuple[tuple[TensorStats, ...], MembersRead]:
    """Read every byte of an HDF5 file once, and what is chunked a second time through h5py.

    Args:
        planned: what `plan` found.
        member: the file's name among the checkpoint's members.
        with_crc32: take zlib's CRC-32 of the whole file as well.

    Raises:
        OSError: it could not be read.
    """
    whole = Checksum(with_crc32=with_crc32)
    tallies, pieces = pieces_of(planned.layout, 0)
    with opened(planned.path) as source:
        stream(source, [[ByteRange(0, source.size, whole)], pieces])
    problems: list[Problem] = []
    if any(d.offset is None for d in planned.layout.datasets):
        with open_hdf5(planned.path) as handle:
            problems = read_rest(handle, planned.layout, tallies)
    digest = MemberDigest(member, whole.size, whole.crc32c, whole.crc32 if with_crc32 else None)
    return tuple(t.result() for t in tallies), MembersRead((digest,), tuple(problems))


def pieces_of(layout: Layout, base: int) -> tuple[list[Tally], list[ByteRange]]:
    """Make a tally for every dataset, and a piece for those that lie in one piece.

    Args:
        layout: the layout.
        base: where the HDF5 file begins in the file that is streamed.

    Raises:
        FormatError: two datasets claim the same bytes.
    """
    tallies = [Tally(d.spec) for d in layout.datasets]
    pieces = [
        ByteRange(base + d.offset, d.spec.size_bytes, tally)
        for d, tally in zip(layout.datasets, tallies)
        if d.offset is not None
    ]
    return tallies, arranged(pieces)


def read_rest(handle: Any, layout: Layout, tallies: list[Tally]) -> list[Problem]:
    """Read what does not lie in one piece, through h5py."""
    problems = [
        read_slices(handle, dataset, tally)
        for dataset, tally in zip(layout.datasets, tallies)
        if dataset.offset is None
    ]
    return [p for p in problems if p is not None]
