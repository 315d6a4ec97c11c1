"""Checkpoints made by hand, byte by byte, for tests that import no TensorFlow."""

from __future__ import annotations

import struct
import zipfile
from typing import TYPE_CHECKING

from checkpointd.formats import LOCAL, Candidate, Probe, locate, probe
from checkpointd.formats.facts import PROBE_BYTES
from tests.helpers.bundles import bundle
from tests.helpers.files import set_times
from tests.helpers.protobuf import field

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from checkpointd.formats import Entry, Stat


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
        """Return the facts of one name."""
        self.stats += 1
        return LOCAL.stat(path)

    def pread(self, path: str, offset: int, size: int) -> bytes:
        """Read a piece and count it."""
        data = LOCAL.pread(path, offset, size)
        self.read[path] = self.read.get(path, 0) + len(data)
        return data


def found(path: Path | str) -> Candidate:
    """Return the candidate that a path names."""
    candidate = locate(str(path))
    assert candidate is not None, f"{path} names no checkpoint"
    return candidate


def probed(path: Path | str) -> Probe:
    """Probe what a path names, and see that no member was read for more than 4 KiB."""
    meter = Metered()
    result = probe(found(path), meter)
    assert max(meter.read.values(), default=0) <= PROBE_BYTES, meter.read
    return result


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
    """Write a SavedModel, file after file as TensorFlow does; return the files in that order."""
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
    """Encode an HDF5 superblock of 48 bytes that has the file's end."""
    assert version in (2, 3)
    start = b"\x89HDF\r\n\x1a\n" + bytes([version, 8, 8, flags])
    return start + struct.pack("<4QI", base, (1 << 64) - 1, size, 48, 0)
