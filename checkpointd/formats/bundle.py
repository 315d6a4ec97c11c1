"""The index of a tensor bundle: which tensors there are, and where their bytes are.

Sources: tensorflow/core/protobuf/tensor_bundle.proto, core/util/tensor_bundle/tensor_bundle.h.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from checkpointd.formats import table
from checkpointd.formats.dtypes import dtype_name
from checkpointd.formats.facts import (
    ENVIRONMENT,
    MALFORMED,
    MISSING_MEMBER,
    TRUNCATED,
    FormatError,
)
from checkpointd.formats.protobuf import Value, fields, message, number, signed, tensor_shape
from checkpointd.formats.storage import LOCAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from checkpointd.formats.storage import Storage

OBJECT_GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
"""The key under which object-based checkpoints keep how their variables hang together."""

NO_HEADER = "The index holds no bundle's header."
"""What is wrong with a table that is no bundle's."""

_T = TypeVar("_T")
_DAMAGED = "An entry of the index is damaged: it names more bytes than it has."
_CACHE_KEY = re.compile(r"\s*\d+_\s*\d+")
_MAX_SHARDS = 99999
_MAX_TYPE = 100
_VERSION = 1
"""The version of the format that TensorFlow 2.21 reads (kTensorBundleVersion)."""


@dataclass(frozen=True)
class TensorEntry:
    """One tensor of a bundle.

    `offset` and `size` are bytes in shard number `shard`; `crc32c` is unmasked and covers the
    tensor's bytes. A tensor saved in pieces has `slices`, each one (start, length) per dimension
    (length -1 is all), and no bytes of its own: they are in entries whose names begin with NUL.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    crc32c: int
    slices: tuple[tuple[tuple[int, int], ...], ...] = ()


@dataclass(frozen=True)
class BundleIndex:
    """What a bundle's index states; `refused` is why TensorFlow would not read it, if it would not.

    The numbers in a bundle of a `big_endian` machine have their most significant byte first.
    """

    num_shards: int
    entries: tuple[TensorEntry, ...]
    big_endian: bool = False
    refused: FormatError | None = None


def shard_suffix(shard: int, num_shards: int) -> str:
    """Name a shard as a member: what is appended to the prefix."""
    return f".data-{shard:05d}-of-{num_shards:05d}"


def shard_path(prefix: str, shard: int, num_shards: int) -> str:
    """Return where a shard is."""
    return prefix + shard_suffix(shard, num_shards)


def read_index(
    prefix: str,
    crc32c: Callable[[bytes], int] | None = None,
    storage: Storage = LOCAL,
) -> BundleIndex:
    """Read the whole index of a bundle.

    Args:
        prefix: the bundle, without `.index`.
        crc32c: computes an unmasked CRC-32C; the index's own blocks are checked when it is given.
        storage: where the bundle is stored.

    Raises:
        FormatError: the index is not there, is cut short, or is malformed.
        OSError: it cannot be read.
    """
    try:
        return index_of(table.read_table(prefix + ".index", crc32c, storage))
    except FileNotFoundError:
        raise FormatError(MISSING_MEMBER, "The checkpoint's .index file is not there.") from None


def is_model(index: BundleIndex) -> bool:
    """Return whether a bundle holds variables; the cache files of tf.data are bundles as well."""
    return any(not _CACHE_KEY.fullmatch(entry.name) for entry in index.entries)


def missing_bytes(index: BundleIndex, sizes: Mapping[int, int]) -> FormatError | None:
    """Compare the shards with what the index names.

    Args:
        index: the bundle's index.
        sizes: the size in bytes of each shard that is there, by number.

    Returns:
        What is wrong, or None. A shard may be longer, and one that holds no tensor may be missing:
        what the index does not name is not read. Where no entries are known, all have to be there.
    """
    needed: dict[int, int] = {}
    for entry in index.entries:
        if not entry.slices:
            end = entry.offset + entry.size if entry.size else 0
            needed[entry.shard] = max(needed.get(entry.shard, 0), end)
    for shard in sorted(needed) if index.entries else range(index.num_shards):
        if shard not in sizes and shard < index.num_shards:
            return FormatError(
                MISSING_MEMBER,
                f"Shard {shard_suffix(shard, index.num_shards)} is not there, the index names "
                f"{index.num_shards}.",
            )
    for shard, size in sorted(needed.items()):
        if shard not in sizes:
            return FormatError(
                MALFORMED, f"The index names shard {shard} of {index.num_shards} shards."
            )
        if sizes[shard] < size:
            return FormatError(
                TRUNCATED,
                f"Shard {shard_suffix(shard, index.num_shards)} has {sizes[shard]} bytes, the "
                f"index names {size}.",
            )
    return None


def index_of(pairs: Iterable[tuple[bytes, bytes]]) -> BundleIndex:
    """Read an index from its keys and values.

    Raises:
        FormatError: there is no header among them, or one is malformed.
    """
    header: tuple[int, bool, FormatError | None] | None = None
    entries = []
    for key, value in pairs:
        if key:
            entries.append(_parsed(_entry, key.decode("utf-8", "surrogateescape"), value))
        else:
            header = _parsed(_header, value)
    if header is None:
        raise FormatError(MALFORMED, NO_HEADER)
    return BundleIndex(header[0], tuple(entries), *header[1:])


def _parsed(parse: Callable[..., _T], *given: str | bytes) -> _T:
    """Parse a value whose block is all there: where it seems to be cut short, it is damaged."""
    try:
        return parse(*given)
    except FormatError as error:
        if error.word != TRUNCATED:
            raise
        raise FormatError(MALFORMED, _DAMAGED) from None


def _header(value: bytes) -> tuple[int, bool, FormatError | None]:
    num_shards, big_endian, refused = 0, False, None
    for field, content in fields(value):
        if field == 1:
            num_shards = number(content)
        elif field == 2:  # BundleHeaderProto.endianness
            big_endian = number(content) == 1
        elif field == 3:  # BundleHeaderProto.version
            refused = _refused(message(content))
    if num_shards > _MAX_SHARDS:
        raise FormatError(MALFORMED, f"The index names {num_shards} shards.")
    return num_shards, big_endian, refused


def _refused(version: bytes) -> FormatError | None:
    """Why TensorFlow refuses a VersionDef; None if it does not. Numbers may be packed."""
    producer, least, bad = 0, 0, False
    for field, content in fields(version):
        if field == 1:
            producer = signed(number(content))
        elif field == 2:  # VersionDef.min_consumer
            least = signed(number(content))
        elif field == 3:  # VersionDef.bad_consumers
            bad |= content == _VERSION or (isinstance(content, bytes) and _VERSION in content)
    if producer < 0:
        return FormatError(MALFORMED, "The index names a negative version of its format.")
    if least > _VERSION or bad:
        return FormatError(
            ENVIRONMENT, "The index allows only a TensorFlow newer than any known to read it."
        )
    return None


def _entry(name: str, value: bytes) -> TensorEntry:
    """Read a BundleEntryProto."""
    numbers = {1: 0, 3: 0, 4: 0, 5: 0, 6: 0}
    shape: tuple[int, ...] = ()
    slices = []
    for field, content in fields(value):
        if field in numbers:
            numbers[field] = number(content)
        elif field == 2:  # BundleEntryProto.shape
            shape = tensor_shape(message(content))
        elif field == 7:  # BundleEntryProto.slices
            slices.append(tuple(_extent(part) for f, part in fields(message(content)) if f == 1))
    return TensorEntry(
        name,
        # a reference type, which dtype_name knows, is none that a tensor can be stored in
        dtype_name(numbers[1]) if numbers[1] <= _MAX_TYPE else f"dtype_{numbers[1]}",
        shape,
        numbers[3],
        numbers[4],
        numbers[5],
        table.unmask(numbers[6]),
        tuple(slices),
    )


def _extent(value: Value) -> tuple[int, int]:
    start, length = 0, -1
    for field, content in fields(message(value)):
        if field == 1:
            start = signed(number(content))
        elif field == 2:  # TensorSliceProto.Extent.length
            length = signed(number(content))
    return start, length
