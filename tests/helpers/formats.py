"""Checkpoints made by hand, byte by byte, for tests that import no TensorFlow."""

from __future__ import annotations

import os
import struct
import zipfile
from typing import TYPE_CHECKING

import google_crc32c

from checkpointd.formats import LOCAL, Candidate, Probe, locate, probe
from checkpointd.formats.facts import PROBE_BYTES
from checkpointd.formats.table import MAGIC

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from checkpointd.formats import Entry, Stat

OBJECT_GRAPH = b"_CHECKPOINTABLE_OBJECT_GRAPH"
FLOAT32 = 1


class Metered:
    """The local file system, and how many bytes were read of each file."""

    def __init__(self) -> None:
        self.read: dict[str, int] = {}
        self.stats = 0
        self.scans = 0

    def scandir(self, path: str) -> list[Entry]:
        """List a directory."""
        self.scans += 1
        return LOCAL.scandir(path)

    def stat(self, path: str) -> Stat:
        """Look at one name."""
        self.stats += 1
        return LOCAL.stat(path)

    def pread(self, path: str, offset: int, size: int) -> bytes:
        """Read a piece and count it."""
        data = LOCAL.pread(path, offset, size)
        self.read[path] = self.read.get(path, 0) + len(data)
        return data


def found(path: Path | str) -> Candidate:
    """Take what a path names, which must be a candidate."""
    candidate = locate(str(path))
    assert candidate is not None, f"{path} names no checkpoint"
    return candidate


def probed(path: Path | str) -> Probe:
    """Probe what a path names, and see that no member was read for more than 4 KiB."""
    meter = Metered()
    result = probe(found(path), meter)
    assert max(meter.read.values(), default=0) <= PROBE_BYTES, meter.read
    return result


def set_times(order: Iterable[Path], start_ns: int = 1_700_000_000_000_000_000) -> None:
    """Give files modification times one second apart, in the order given."""
    for index, path in enumerate(order):
        time_ns = start_ns + index * 1_000_000_000
        os.utime(path, ns=(time_ns, time_ns))


def varint(value: int) -> bytes:
    """Encode an unsigned number as protobuf does."""
    result = bytearray()
    value &= (1 << 64) - 1
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*result, value])


def field(number: int, value: int | bytes | str) -> bytes:
    """Encode one field: a varint, or a string or message."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


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


def entry(size: int, offset: int = 0, shard: int = 0, data: bytes = b"") -> bytes:
    """Encode a BundleEntryProto of a float32 vector."""
    shape = field(2, field(2, field(1, size // 4)))
    numbers = (field(3, shard) if shard else b"") + (field(4, offset) if offset else b"")
    crc = b"\x35" + struct.pack("<I", mask(google_crc32c.value(data)))
    return field(1, FLOAT32) + shape + numbers + field(5, size) + crc


def bundle(prefix: Path | str, names: Iterable[bytes] = (), shards: int = 1) -> list[Path]:
    """Write a bundle with one float32 vector of 4 elements for each name, shards first.

    Returns:
        The shards and, last, the index.
    """
    from pathlib import Path

    names = sorted(names or [OBJECT_GRAPH, b"layer/kernel"])
    contents = [b"" for _ in range(shards)]
    pairs = [(b"", header(shards))]
    for index, name in enumerate(names):
        shard, data = index % shards, struct.pack("<4f", *range(index, index + 4))
        pairs.append((name, entry(16, len(contents[shard]), shard, data)))
        contents[shard] += data
    files = []
    Path(prefix).parent.mkdir(parents=True, exist_ok=True)
    for shard, data in enumerate(contents):
        files.append(Path(f"{prefix}.data-{shard:05d}-of-{shards:05d}"))
        files[-1].write_bytes(data)
    files.append(Path(f"{prefix}.index"))
    files[-1].write_bytes(table(pairs))
    set_times(files)
    return files


def tensor_info(dtype: int, dims: Iterable[int] | None) -> bytes:
    """Encode a TensorInfo; None is an open rank."""
    shape = field(3, 1) if dims is None else b"".join(field(2, field(1, d)) for d in dims)
    return field(1, "x:0") + field(2, dtype) + field(3, shape)


def signature(name: str, inputs: Mapping[str, bytes], outputs: Mapping[str, bytes]) -> bytes:
    """Encode an entry of MetaGraphDef.signature_def."""
    definition = b"".join(
        field(number, field(1, key) + field(2, info))
        for number, tensors in ((1, inputs), (2, outputs))
        for key, info in tensors.items()
    )
    return field(1, name) + field(2, definition)


def graph(
    root: str = "_generic_user_object",
    *,
    saver: bool = True,
    tags: tuple[str, ...] = ("serve",),
    signatures: Iterable[bytes] = (),
    assets: Iterable[str] = (),
    children: int = 3,
) -> bytes:
    """Encode a saved_model.pb with one graph; without `root` it has no objects, as in TF 1."""
    info = b"".join(field(4, tag) for tag in tags) + field(5, "2.21.0")
    meta = field(1, info) + field(2, b"\0" * 20_000)
    meta += field(3, field(1, "save")) if saver else b""
    meta += b"".join(field(5, s) for s in signatures)
    meta += b"".join(field(6, field(2, name)) for name in assets)
    if root:
        node = b"".join(field(1, field(1, i) + field(2, f"child_{i}")) for i in range(children))
        node += field(4, field(1, root) + field(2, field(1, 1)))
        meta += field(7, field(1, node) + field(1, field(4, field(1, "other"))))
    return field(1, 1) + field(2, meta)


def savedmodel(
    path: Path, root: str = "_generic_user_object", *, metadata: bool = False, children: int = 3
) -> list[Path]:
    """Write a SavedModel, file after file as TensorFlow does; give the files in that order."""
    files = bundle(path / "variables" / "variables")
    (path / "assets").mkdir()
    contents = {
        "assets/vocabulary.txt": b"a\nb\n",
        "saved_model.pb": graph(root, children=children),
        "fingerprint.pb": field(1, 12345),
    }
    if metadata:
        contents["keras_metadata.pb"] = field(1, field(2, 0) + field(3, "root")) * 3
    for name, data in contents.items():
        files.append(path / name)
        files[-1].write_bytes(data)
    set_times(files)
    return files


def archive(path: Path, members: Mapping[str, bytes] | None = None, comment: bytes = b"") -> Path:
    """Write a zip; without `members` it is a whole `.keras`."""
    if members is None:
        members = {
            "metadata.json": b'{"keras_version": "3.15.1"}',
            "config.json": b'{"class_name": "Sequential"}',
            "model.weights.h5": superblock(96) + bytes(48),
        }
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)
        file.comment = comment
    return path


def superblock(size: int, version: int = 2, flags: int = 0, base: int = 0) -> bytes:
    """Encode an HDF5 superblock of 48 bytes that says where the file ends."""
    assert version in (2, 3)
    start = b"\x89HDF\r\n\x1a\n" + bytes([version, 8, 8, flags])
    return start + struct.pack("<4QI", base, (1 << 64) - 1, size, 48, 0)
