"""TensorFlow's tensor bundles: CRC32C and statistics of every tensor, in one pass."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import google_crc32c

from checkpointd.formats import FormatError
from checkpointd.formats.bundle_rules import SLICE_END, SLICE_MARK, refused
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
    MemberDigest,
    MembersRead,
    Problem,
    TensorSpec,
    TensorStats,
    object_graph,
    roles,
    unique,
)
from checkpointd.tensors.bundle_tallies import CHECKSUM_BYTES, lengths_end, tally_for
from checkpointd.tensors.checksums import Checksum
from checkpointd.tensors.object_graph import ObjectGraph
from checkpointd.tensors.source import opened
from checkpointd.tensors.statistics import item_size
from checkpointd.tensors.stream import ByteRange, layered, stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from checkpointd.tensors.stream import Tally

_MAX_GRAPH = 256 << 20
_UNCHECKED = frozenset({"variant", "resource"})
_TRAILER = 5  # a block's type and its checksum


@dataclass(frozen=True)
class Stored:
    """A tensor of a bundle: what it is, and the entry that locates it."""

    spec: TensorSpec
    entry: TensorEntry


@dataclass(frozen=True)
class BundlePlan:
    """A bundle ready to be read; `shards` are those that are there, by number.

    `absent` is a key that its graph of objects names and its index lacks; empty if there is none.
    """

    prefix: str
    index: BundleIndex
    stored: tuple[Stored, ...]
    shards: frozenset[int]
    absent: str = ""

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """The tensors in it."""
        return tuple(s.spec for s in self.stored)


def plan(prefix: str, found: Mapping[int, Mapping[int, int]]) -> BundlePlan:
    """Read a bundle's index and find out where everything is.

    Args:
        prefix: the bundle, without `.index`.
        found: the size in bytes of each shard that is there, by the number of shards in its name
            of, and by number: shards of an earlier save over the same prefix may be left.

    Raises:
        FormatError: a part is missing, cut short or malformed.
        OSError: it could not be read.
    """
    index = read_index(prefix, google_crc32c.value)
    sizes = found.get(index.num_shards, {})
    wrong = refused(index) or missing_bytes(index, sizes)
    if wrong is not None:
        raise wrong
    entries = [e for e in index.entries if not e.slices]
    objects = _objects(prefix, index)
    optimizers = roles.optimizers(e.name for e in entries)
    names = unique(_names_of(e.name, objects.names) for e in entries)
    stored = tuple(
        Stored(_spec(name, entry, optimizers, objects), entry)
        for name, entry in zip(names, entries)
    )
    absent = objects.keys - {entry.name for entry in index.entries}
    return BundlePlan(
        prefix,
        index,
        stored,
        frozenset(sizes) & frozenset(range(index.num_shards)),
        min(absent, default=""),
    )


def sharing(planned: BundlePlan) -> str:
    """Describe in a sentence where two tensors share bytes; empty where each has its own.

    TensorFlow reads both. None of its writers makes such a bundle: one that saves space may, and
    so may one that hides what it holds.
    """
    placed = sorted(
        (s.entry.shard, s.entry.offset, s.entry.offset + s.entry.size, s.spec.name)
        for s in planned.stored
        if s.entry.size
    )
    end = (0, 0, "")
    for shard, start, stop, name in placed:
        if shard == end[0] and start < end[1]:
            return f"{end[2]} and {name} share bytes, which no writer of TensorFlow's makes."
        end = (shard, stop, name)
    return ""


def read(
    planned: BundlePlan, member_prefix: str = ""
) -> tuple[tuple[TensorStats, ...], MembersRead]:
    """Read every byte of the index and the shards once.

    Args:
        planned: what `plan` found.
        member_prefix: what stands before `.index` in the names of the checkpoint's members.

    Raises:
        OSError: it could not be read.
    """
    members = [checksum_of(planned.prefix + ".index", member_prefix + ".index")]
    problems = _metaindex_problem(planned.prefix + ".index")
    tallies: list[Tally] = []
    for shard, pieces in _by_shard(planned):
        whole = Checksum()
        suffix = shard_suffix(shard, planned.index.num_shards)
        with opened(planned.prefix + suffix) as source:
            stream(source, [[ByteRange(0, source.size, whole)], *layered([p for _, p in pieces])])
        members.append(MemberDigest(member_prefix + suffix, whole.size, whole.crc32c))
        for item, tally in ((s, t) for (s, t), _ in pieces):
            tallies.append(tally)
            if item.spec.dtype not in _UNCHECKED and tally.crc32c != item.entry.crc32c:
                problems.append(
                    Problem(
                        "checksum_mismatch",
                        f"{item.spec.name}: its bytes are not those that were written, "
                        "the stored CRC32C differs.",
                        item.spec.name,
                    )
                )
    order = {s.spec.name: i for i, s in enumerate(planned.stored)}
    results = sorted((t.result() for t in tallies), key=lambda t: order[t.name])
    return tuple(results), MembersRead(tuple(members), tuple(problems))


def _metaindex_problem(path: str) -> list[Problem]:
    """Check the one block of the index that nobody reads, and that has a checksum all the same."""
    with opened(path) as source:
        footer = source.read(source.size - FOOTER_BYTES, FOOTER_BYTES)
        offset, at = read_varint(footer, 0)
        size, _ = read_varint(footer, at)
        if not size:
            return []  # TensorFlow's writer leaves a block without entries, another may leave none
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
        stream(source, [[ByteRange(0, source.size, whole)]])
    return MemberDigest(member, whole.size, whole.crc32c)


def _by_shard(
    planned: BundlePlan,
) -> Iterator[tuple[int, list[tuple[tuple[Stored, Tally], ByteRange]]]]:
    """The tensors of each shard, with who reads them."""
    groups: dict[int, list[tuple[tuple[Stored, Tally], ByteRange]]] = {
        shard: [] for shard in sorted(planned.shards)
    }
    for item in planned.stored:
        tally = tally_for(item.spec, big_endian=planned.index.big_endian)
        piece = ByteRange(item.entry.offset, item.entry.size, tally)
        groups[item.entry.shard].append(((item, tally), piece))
    yield from groups.items()


def _spec(
    name: str, entry: TensorEntry, optimizers: frozenset[str], objects: ObjectGraph
) -> TensorSpec:
    width = item_size(entry.dtype)
    count = math.prod(entry.shape)
    if width is not None and width * count != entry.size:
        raise FormatError(
            "malformed",
            f"{name}: the index gives it {entry.size} bytes, {entry.dtype}{list(entry.shape)} "
            f"needs {width * count}.",
        )
    key = _plain(entry.name)
    role = roles.of_bundle(key, optimizers, entry.shape, objects)
    if width is None:
        role = roles.Role(OTHER, f"its type: {entry.dtype}")
    return TensorSpec(name, key, role.role, entry.dtype, entry.shape, entry.size, role.decided_by)


def _plain(key: str) -> str:
    """The key as a reader may see it: a part of a partitioned variable has an encoded one."""
    if not key.startswith(SLICE_MARK):
        return key
    name, _, where = key[1:].partition(SLICE_END)
    return f"{name} (part {where.encode('utf-8', 'surrogateescape').hex()})"


def _names_of(key: str, named: Mapping[str, str]) -> tuple[str, str]:
    """The name to show, and the one to show where two variables share that."""
    path = _plain(key).split(roles.ATTRIBUTES, 1)[0]
    name = named.get(key)
    return (name, f"{name} ({path})") if name else (path, _plain(key))


def _objects(prefix: str, index: BundleIndex) -> ObjectGraph:
    """What the checkpoint states about its variables; nothing where it has no graph of objects."""
    entry = next((e for e in index.entries if e.name == OBJECT_GRAPH), None)
    if entry is None or not entry.size or entry.size > _MAX_GRAPH or entry.shape:
        return ObjectGraph()
    with opened(shard_path(prefix, entry.shard, index.num_shards)) as source:
        data = source.read(entry.offset, entry.size)
    start = lengths_end(data) + CHECKSUM_BYTES
    return object_graph.parse(data[start:])
