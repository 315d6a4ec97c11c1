"""`fingerprint.pb`: what a SavedModel's writer noted of its graph and its variables.

Source: tensorflow/core/protobuf/fingerprint.proto and tensorflow/cc/saved_model/fingerprinting.cc.
Recomputed here, exactly and without TensorFlow:

- `checkpoint_hash`: Fingerprint64 of `variables/variables.index`, which holds a CRC32C of every
  tensor. It differs when the variables come from another save, which TensorFlow does not notice.
- `saved_model_checksum`: Fingerprint64 of the whole `saved_model.pb` (`canonical`).

Not recomputed: the hashes of parts of the graph, which the checksum of the whole covers; and the
checksum of a graph in chunks (`saved_model.cpb`) or of a version of TensorFlow that is newer than
the one that this was held against, whose maps may lie elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.tensors.stream import Source, opened
from checkpointd.verify.keras_files.origin import release
from checkpointd.verify.scan.canonical import SAVED_MODEL, canonical
from checkpointd.verify.scan.farmhash import fingerprint64

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_HASHED = 32 << 20
"""Bytes of a file beyond which it is not hashed: that is slow in Python."""

NEWEST = (2, 21)
"""The TensorFlow that this was held against."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_CHECKSUM, _CHECKPOINT_HASH, _VERSION = 1, 5, 6
_PRODUCER_OF_CHECKSUM = 1
_MAX_VARINT = 10


class BrokenProtoError(ValueError):
    """Bytes that are no protocol buffer of the expected shape."""


@dataclass(frozen=True)
class Field:
    """One field of a message: its number, and its number value or the range of its bytes."""

    number: int
    value: int
    start: int
    end: int


@dataclass(frozen=True)
class Comparison:
    """What was recomputed: names of fingerprints that match, and of those that differ."""

    matching: tuple[str, ...]
    differing: tuple[str, ...]


def compare(directory: str, tensorflow_version: str) -> Comparison:
    """Recompute what can be, and hold it against `fingerprint.pb`.

    Args:
        directory: of a SavedModel that has a `fingerprint.pb`.
        tensorflow_version: of its writer, as `saved_model.pb` says.

    Raises:
        BrokenProtoError: `fingerprint.pb` is broken.
        FormatError: `saved_model.pb` is.
        OSError: a file could not be read.
    """
    with opened(f"{directory}/fingerprint.pb") as source:
        recorded = {f.number: f for f in fields(source, 0, source.size)}
        version = recorded.get(_VERSION)
        producer = (
            next((f.value for f in fields(source, version.start, version.end)), 0) if version else 0
        )
    found = {
        "checkpoint_hash": (_CHECKPOINT_HASH, _whole(f"{directory}/variables/variables.index"))
    }
    if producer >= _PRODUCER_OF_CHECKSUM and _known(tensorflow_version):
        graph = _whole(f"{directory}/saved_model.pb")
        sorted_graph = None if graph is None else canonical(graph, SAVED_MODEL)
        found["saved_model_checksum"] = (_CHECKSUM, sorted_graph)
    known = {
        name: recorded[number].value == fingerprint64(data)
        for name, (number, data) in found.items()
        if data is not None and number in recorded
    }
    return Comparison(
        tuple(name for name, same in known.items() if same),
        tuple(name for name, same in known.items() if not same),
    )


def _known(version: str) -> bool:
    return () < release(version) <= NEWEST


def _whole(path: str) -> bytes | None:
    """A file's bytes; None if it is not there, or too large to be hashed."""
    try:
        with opened(path) as source:
            return source.read(0, source.size) if source.size <= MAX_HASHED else None
    except FileNotFoundError:
        return None


def fields(source: Source, start: int, end: int) -> Iterator[Field]:
    """Walk over the fields of the message that lies from `start` to `end`, without its content.

    Raises:
        BrokenProtoError: it is no message.
    """
    at = start
    while at < end:
        head = source.read(at, min(2 * _MAX_VARINT, end - at))
        tag, used = _varint(head, 0)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, used = _varint(head, used)
            at += used
            yield Field(number, value, at, at)
            continue
        if kind == _BYTES:
            length, used = _varint(head, used)
        elif kind in (_FIXED64, _FIXED32):
            length = 8 if kind == _FIXED64 else 4
        else:
            raise BrokenProtoError(f"a field of the unknown kind {kind} at byte {at}")
        begin, at = at + used, at + used + length
        if at > end:
            raise BrokenProtoError(f"a field that reaches beyond its message at byte {begin}")
        yield Field(number, 0, begin, at)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift, byte in enumerate(data[at : at + _MAX_VARINT]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            return value & ((1 << 64) - 1), at + shift + 1
    raise BrokenProtoError("a number without an end")
