"""TensorFlow's tensor bundles: every tensor's CRC32C and statistics, in one pass over the shards.

Sources: tensorflow/core/util/tensor_bundle/tensor_bundle.cc (how strings are stored and what
their checksum covers).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import google_crc32c
import numpy as np

from checkpointd.formats import FormatError
from checkpointd.formats.bundle_rules import refused
from checkpointd.formats.protobuf import read_varint
from checkpointd.formats.table import FOOTER_BYTES, unmask
from checkpointd.formats.tf_checkpoint import (
    OBJECT_GRAPH,
    BundleIndex,
    TensorEntry,
    missing_bytes,
    read_index,
    shard_path,
    shard_suffix,
)
from checkpointd.tensors import (
    OTHER,
    Found,
    MemberDigest,
    Problem,
    TensorSpec,
    TensorStats,
    object_graph,
    roles,
    unique,
)
from checkpointd.tensors.object_graph import ObjectGraph
from checkpointd.tensors.statistics import Array, item_size
from checkpointd.tensors.stream import (
    Checksum,
    Piece,
    Tally,
    arranged,
    opened,
    stream,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MAX_GRAPH = 256 << 20
_VARINT_BYTES = 10
_NUMBER_END = 0x80
_UINT32 = 0xFFFFFFFF
_UNCHECKED = frozenset({"variant", "resource"})
_TRAILER = 5  # a block's type and its checksum
_SLICE_MARK, _SLICE_END = "\0", "\0\x01"


@dataclass(frozen=True)
class Stored:
    """A tensor of a bundle: what it is, and the entry that says where it lies."""

    spec: TensorSpec
    entry: TensorEntry


@dataclass(frozen=True)
class Plan:
    """A bundle ready to be read."""

    prefix: str
    index: BundleIndex
    stored: tuple[Stored, ...]

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """The tensors in it."""
        return tuple(s.spec for s in self.stored)


class StringTally(Tally):
    """A tensor of strings: lengths as varints, their checksum, then all bytes.

    The stored CRC32C covers each length as four bytes (eight if it needs them), the checksum of
    the lengths, and the bytes.
    """

    def __init__(self, spec: TensorSpec) -> None:
        super().__init__(spec)
        self._head = b""
        self._missing = math.prod(spec.shape)
        self._at_bytes = False

    def feed(self, block: Array) -> None:
        """Take the next bytes."""
        if not self._at_bytes:
            data = self._head + block.tobytes()
            at = self._lengths(data)
            if self._missing or len(data) < at + 4:
                self._head = data[at:]
                return
            self._at_bytes = True
            block = np.frombuffer(data, np.uint8)[at:]
        self.crc32c = google_crc32c.extend(self.crc32c, block)

    def _lengths(self, data: bytes) -> int:
        at = 0
        while self._missing:
            end = next(
                (i for i in range(at, min(at + _VARINT_BYTES, len(data))) if data[i] < _NUMBER_END),
                None,
            )
            if end is None:
                break
            length = sum((data[i] & 0x7F) << (7 * (i - at)) for i in range(at, end + 1))
            width = 4 if length <= _UINT32 else 8
            encoded = (length & ((1 << 64) - 1)).to_bytes(width, "little")
            self.crc32c = google_crc32c.extend(self.crc32c, encoded)
            self._missing -= 1
            at = end + 1
        return at


def plan(prefix: str, sizes: Mapping[int, int]) -> Plan:
    """Read a bundle's index and look at where everything lies.

    Args:
        prefix: the bundle, without `.index`.
        sizes: the size in bytes of each shard that is there, by number.

    Raises:
        FormatError: a part is missing, cut short or malformed.
        OSError: it could not be read.
    """
    index = read_index(prefix, google_crc32c.value)
    wrong = refused(index) or missing_bytes(index, sizes)
    if wrong is not None:
        raise wrong
    entries = [e for e in index.entries if not e.slices]
    objects = _objects(prefix, index)
    optimizers = roles.optimizers(e.name for e in entries)
    names = unique(_names_of(e.name, objects.names) for e in entries)
    stored = tuple(
        Stored(_spec(name, entry, index, optimizers, objects), entry)
        for name, entry in zip(names, entries)
    )
    for _ in _by_shard(index.num_shards, stored):
        pass
    return Plan(prefix, index, stored)


def read(planned: Plan, member_prefix: str = "") -> tuple[tuple[TensorStats, ...], Found]:
    """Read every byte of the index and the shards once.

    Args:
        planned: what `plan` found.
        member_prefix: what stands before `.index` in the names of the checkpoint's members.

    Raises:
        OSError: it could not be read.
    """
    shards = planned.index.num_shards
    members = [checksum_of(planned.prefix + ".index", member_prefix + ".index")]
    problems = _metaindex_problem(planned.prefix + ".index")
    tallies: list[Tally] = []
    for shard, pieces in _by_shard(shards, planned.stored):
        whole = Checksum()
        with opened(shard_path(planned.prefix, shard, shards)) as source:
            placed = arranged([p for _, p in pieces])
            stream(source, [[Piece(0, source.size, whole)], placed])
        suffix = shard_suffix(shard, shards)
        members.append(MemberDigest(member_prefix + suffix, whole.size, whole.crc32c))
        for item, tally in ((s, t) for (s, t), _ in pieces):
            tallies.append(tally)
            if item.spec.dtype not in _UNCHECKED and tally.crc32c != item.entry.crc32c:
                problems.append(
                    Problem(
                        "checksum_mismatch",
                        f"{item.spec.name}: its bytes are not those that were written, "
                        "the stored CRC32C differs.",
                    )
                )
    order = {s.spec.name: i for i, s in enumerate(planned.stored)}
    results = sorted((t.result() for t in tallies), key=lambda t: order[t.name])
    return tuple(results), Found(tuple(members), tuple(problems))


def _metaindex_problem(path: str) -> list[Problem]:
    """Check the one block of the index that nobody reads, and that has a checksum all the same."""
    with opened(path) as source:
        footer = source.read(source.size - FOOTER_BYTES, FOOTER_BYTES)
        offset, at = read_varint(footer, 0)
        size, _ = read_varint(footer, at)
        if offset + size + _TRAILER <= source.size:
            block = source.read(offset, size + _TRAILER)
            stored = unmask(int.from_bytes(block[-4:], "little"))
            if google_crc32c.value(block[:-4]) == stored:
                return []
    return [Problem("checksum_mismatch", "The .index file is not what was written.")]


def checksum_of(path: str, member: str) -> MemberDigest:
    """Read a file for its digest alone.

    Raises:
        OSError: it could not be read.
    """
    whole = Checksum()
    with opened(path) as source:
        stream(source, [[Piece(0, source.size, whole)]])
    return MemberDigest(member, whole.size, whole.crc32c)


def _by_shard(
    num_shards: int, stored: tuple[Stored, ...]
) -> Iterator[tuple[int, list[tuple[tuple[Stored, Tally], Piece]]]]:
    """The tensors of each shard, with who reads them; refuses those that claim the same bytes."""
    groups: dict[int, list[tuple[tuple[Stored, Tally], Piece]]] = {i: [] for i in range(num_shards)}
    for item in stored:
        tally = (
            StringTally(item.spec)
            if item.spec.dtype == "string"
            else Tally(item.spec, with_crc32c=True)
        )
        piece = Piece(item.entry.offset, item.entry.size, tally)
        groups[item.entry.shard].append(((item, tally), piece))
    for shard, pieces in groups.items():
        arranged([p for _, p in pieces])
        yield shard, pieces


def _spec(
    name: str,
    entry: TensorEntry,
    index: BundleIndex,
    optimizers: frozenset[str],
    objects: ObjectGraph,
) -> TensorSpec:
    width = item_size(entry.dtype)
    count = math.prod(entry.shape)
    if width is not None and width * count != entry.size:
        raise FormatError(
            "malformed",
            f"{name}: the index gives it {entry.size} bytes, {entry.dtype}{list(entry.shape)} "
            f"needs {width * count}.",
        )
    dtype = entry.dtype
    if index.big_endian and width not in (None, 1) and dtype != "bfloat16":
        dtype = np.dtype(dtype).newbyteorder(">").str
    key = _plain(entry.name)
    role = roles.of_bundle(key, optimizers, entry.shape, objects)
    if width is None:
        role = roles.Role(OTHER, f"its type: {dtype}")
    return TensorSpec(name, key, role.role, dtype, entry.shape, entry.size, role.decided_by)


def _plain(key: str) -> str:
    """The key as a reader may see it: a part of a partitioned variable has an encoded one."""
    if not key.startswith(_SLICE_MARK):
        return key
    name, _, where = key[1:].partition(_SLICE_END)
    return f"{name} (part {where.encode('utf-8', 'surrogateescape').hex()})"


def _names_of(key: str, named: Mapping[str, str]) -> tuple[str, str]:
    """The name to show, and the one to show where two variables share that."""
    path = _plain(key).split(roles.ATTRIBUTES, 1)[0]
    own = named.get(key)
    return (own, f"{own} ({path})") if own else (path, _plain(key))


def _objects(prefix: str, index: BundleIndex) -> ObjectGraph:
    """What the checkpoint says of its variables; nothing where it has no graph of objects."""
    entry = next((e for e in index.entries if e.name == OBJECT_GRAPH), None)
    if entry is None or not entry.size or entry.size > _MAX_GRAPH or entry.shape:
        return ObjectGraph()
    with opened(shard_path(prefix, entry.shard, index.num_shards)) as source:
        data = source.read(entry.offset, entry.size)
    start = next((i for i, byte in enumerate(data[:_VARINT_BYTES]) if byte < _NUMBER_END), 0) + 5
    return object_graph.parse(data[start:])
