"""The one writer of tensor bundles (TensorFlow checkpoints) for tests that import no TensorFlow."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import google_crc32c
import numpy as np

from checkpointd.formats.table import MAGIC
from tests.helpers.files import set_times
from tests.helpers.protobuf import field, varint

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

OBJECT_GRAPH = b"_CHECKPOINTABLE_OBJECT_GRAPH"
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
DTYPES = {"float32": 1, "float64": 2, "int32": 3, "string": 7, "int64": 9, "bool": 10}
DTYPES |= {"bfloat16": 14, "complex64": 8, "float16": 19}
FLOAT32 = DTYPES["float32"]
CRC_FIELD = varint(6 << 3 | 5)


def mask(crc: int) -> int:
    """Mask a CRC-32C as it is stored."""
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def packed(data: bytes) -> bytes:
    """Compress with Snappy, as its own writer does: literals, and copies of 4 to 64 bytes."""
    result, at, begun = varint(len(data)), 0, 0
    seen: dict[bytes, int] = {}

    def literal(piece: bytes) -> bytes:
        count = len(piece) - 1
        if count < 60:
            return bytes([count << 2]) + piece if piece else b""
        width = (count.bit_length() + 7) // 8
        return bytes([(59 + width) << 2]) + count.to_bytes(width, "little") + piece

    while at + 4 <= len(data):
        back = at - seen.get(data[at : at + 4], at)
        seen[data[at : at + 4]] = at
        if not 0 < back < 65536:
            at += 1
            continue
        size = 4
        while size < 64 and at + size < len(data) and data[at + size - back] == data[at + size]:
            size += 1
        result += literal(data[begun:at])
        if size < 12 and back < 2048:
            result += bytes([back >> 8 << 5 | size - 4 << 2 | 1, back & 0xFF])
        else:
            result += bytes([size - 1 << 2 | 2]) + back.to_bytes(2, "little")
        at = begun = at + size
    return result + literal(data[begun:])


def block(pairs: Iterable[tuple[bytes, bytes]], *, kind: int = 0, snappy: bool = False) -> bytes:
    """Encode one block of a table with its trailer; one restart point, keys prefix-compressed."""
    data, last = b"", b""
    for key, value in pairs:
        shared = next((i for i, (a, b) in enumerate(zip(last, key, strict=False)) if a != b), -1)
        shared = min(len(last), len(key)) if shared < 0 else shared
        data += varint(shared) + varint(len(key) - shared) + varint(len(value))
        data += key[shared:] + value
        last = key
    data += struct.pack("<2I", 0, 1)
    data = packed(data) + b"\1" if snappy else data + bytes([kind])
    return data + struct.pack("<I", mask(google_crc32c.value(data)))


def table(
    pairs: Iterable[tuple[bytes, bytes]],
    per_block: int = 100,
    kind: int = 0,
    *,
    snappy: bool = False,
) -> bytes:
    """Encode a whole table."""
    left = list(pairs)
    data, index = b"", []
    while left:
        part, left = left[:per_block], left[per_block:]
        piece = block(part, kind=kind, snappy=snappy)
        index.append((part[-1][0], varint(len(data)) + varint(len(piece) - 5)))
        data += piece
    handles = b""
    for piece in (block([]), block(index, snappy=snappy)):
        handles += varint(len(data)) + varint(len(piece) - 5)
        data += piece
    return data + handles.ljust(40, b"\0") + MAGIC


def header(num_shards: int = 1) -> bytes:
    """Encode a BundleHeaderProto."""
    return field(1, num_shards) + field(3, field(1, 1))


def entry(
    size: int,
    offset: int = 0,
    shard: int = 0,
    data: bytes = b"",
    *,
    dims: Iterable[int] | None = None,
    dtype: int = FLOAT32,
    crc: int | None = None,
) -> bytes:
    """Encode a BundleEntryProto.

    Args:
        size: of the values in bytes.
        offset: where in the shard they begin.
        shard: the number of the shard.
        data: what the checksum is of, unless `crc` has it.
        dims: the shape; by default a vector of as many float32 as there are bytes for.
        dtype: the number of the type.
        crc: the CRC-32C of the values, not masked.
    """
    shape = b"".join(field(2, field(1, n)) for n in ((size // 4,) if dims is None else dims))
    numbers = (field(3, shard) if shard else b"") + (field(4, offset) if offset else b"")
    checksum = struct.pack("<I", mask(google_crc32c.value(data) if crc is None else crc))
    return field(1, dtype) + field(2, shape) + numbers + field(5, size) + CRC_FIELD + checksum


def write_table(path: Path, pairs: Iterable[tuple[bytes, bytes]]) -> None:
    """Write an index of one data block, in the order of its keys."""
    path.write_bytes(table(sorted(pairs), per_block=1 << 30))


def write_bundle(
    prefix: Path | str, tensors: Mapping[str | bytes, Any], *, shards: int = 1, named: str = ""
) -> list[Path]:
    """Write a tensor bundle, shards first.

    Args:
        prefix: without `.index`.
        tensors: by key; spread over the shards in turn.
        shards: how many.
        named: the dtype of those given as uint16, if it is not numpy's own.

    Returns:
        The shards and, last, the index.
    """
    data = [bytearray() for _ in range(shards)]
    pairs = [(b"", header(shards))]
    for number, (key, values) in enumerate(tensors.items()):
        array = np.asarray(values)
        raw = array.tobytes()
        dtype = DTYPES[named if named and array.dtype == np.uint16 else array.dtype.name]
        shard = number % shards
        stored = entry(len(raw), len(data[shard]), shard, raw, dims=array.shape, dtype=dtype)
        pairs.append((key.encode() if isinstance(key, str) else key, stored))
        data[shard].extend(raw)
    files = [Path(f"{prefix}.data-{i:05d}-of-{shards:05d}") for i in range(shards)]
    for path, content in zip(files, data, strict=True):
        path.write_bytes(bytes(content))
    files.append(Path(f"{prefix}.index"))
    write_table(files[-1], pairs)
    return files


def bundle(prefix: Path | str, names: Iterable[bytes] = (), shards: int = 1) -> list[Path]:
    """Write a bundle with one float32 vector of 4 elements for each name, a second between files.

    Returns:
        The shards and, last, the index.
    """
    Path(prefix).parent.mkdir(parents=True, exist_ok=True)
    keys = sorted(names or [OBJECT_GRAPH, b"layer/kernel"])
    tensors = {key: np.arange(i, i + 4, dtype=np.float32) for i, key in enumerate(keys)}
    files = write_bundle(prefix, tensors, shards=shards)
    set_times(files)
    return files
