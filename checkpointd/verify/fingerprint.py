"""`fingerprint.pb`: what a SavedModel's writer noted of its graph and its variables.

Source: tensorflow/core/protobuf/fingerprint.proto and tensorflow/cc/saved_model/fingerprinting.cc
(producers 1 to 4). Recomputed here, exactly and without TensorFlow:

- `checkpoint_hash`: Fingerprint64 of `variables/variables.index`, which holds a CRC32C of every
  tensor. It differs when the variables come from another save, which TensorFlow does not notice.
- `signature_def_hash` and `saved_object_graph_hash`: of the first graph's signatures and concrete
  functions as they are serialised, in the order of their names and of their numbers.

Not recomputed: `saved_model_checksum` and `graph_def_program_hash`, which depend on how one version
of TensorFlow rewrites the graph before it hashes it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.tensors.stream import Source, opened
from checkpointd.verify.farmhash import cat64, fingerprint64

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_HASHED = 64 << 20
"""Bytes of one part beyond which it is not recomputed: the hash is slow in Python."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_META_GRAPHS, _SIGNATURE_DEF, _OBJECT_GRAPH, _CONCRETE_FUNCTIONS = 2, 5, 7, 2
_SIGNATURE_HASH, _OBJECT_GRAPH_HASH, _CHECKPOINT_HASH = 3, 4, 5
_MAX_VARINT = 10
_UID = re.compile(rb"(\d+)$")


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


def compare(directory: str) -> Comparison:
    """Recompute what can be, and hold it against `fingerprint.pb`.

    Args:
        directory: of a SavedModel that has a `fingerprint.pb`.

    Raises:
        BrokenProtoError: `fingerprint.pb` or `saved_model.pb` is broken.
        OSError: a file could not be read.
    """
    with opened(f"{directory}/fingerprint.pb") as source:
        recorded = {f.number: f.value for f in fields(source, 0, source.size)}
    found = {"checkpoint_hash": (_CHECKPOINT_HASH, _checkpoint_hash(directory))}
    try:
        with opened(f"{directory}/saved_model.pb") as source:
            signatures, functions = _graph_hashes(source)
    except FileNotFoundError:  # saved_model.cpb, TensorFlow's image format for large graphs
        signatures = functions = None
    found["signature_def_hash"] = (_SIGNATURE_HASH, signatures)
    found["saved_object_graph_hash"] = (_OBJECT_GRAPH_HASH, functions)
    known = {
        name: recorded[number] == value
        for name, (number, value) in found.items()
        if value is not None and recorded.get(number)
    }
    return Comparison(
        tuple(name for name, same in known.items() if same),
        tuple(name for name, same in known.items() if not same),
    )


def _checkpoint_hash(directory: str) -> int | None:
    try:
        with opened(f"{directory}/variables/variables.index") as source:
            whole = source.read(0, source.size) if source.size <= MAX_HASHED else None
    except FileNotFoundError:
        return None
    return None if whole is None else fingerprint64(whole)


def _graph_hashes(source: Source) -> tuple[int | None, int | None]:
    """The hashes of the signatures and of the concrete functions of the first graph."""
    graph = next((f for f in fields(source, 0, source.size) if f.number == _META_GRAPHS), None)
    if graph is None:
        return None, None
    signatures: dict[bytes, bytes] = {}
    functions: dict[int, tuple[bytes, bytes]] = {}
    budget = MAX_HASHED
    usable = True
    for part in fields(source, graph.start, graph.end):
        if part.number == _SIGNATURE_DEF:
            key, value = _entry(source, part)
            signatures[key] = value
        elif part.number == _OBJECT_GRAPH:
            for inner in fields(source, part.start, part.end):
                if inner.number != _CONCRETE_FUNCTIONS:
                    continue
                budget -= inner.end - inner.start
                if budget < 0:
                    return _signature_hash(signatures), None
                key, value = _entry(source, inner)
                uid = _UID.search(key)
                usable = usable and uid is not None and int(uid.group()) not in functions
                if uid is not None:
                    functions[int(uid.group())] = key, value
    return _signature_hash(signatures), _function_hash(functions) if usable else None


def _signature_hash(signatures: dict[bytes, bytes]) -> int:
    result = 0
    for name in sorted(signatures):
        result = cat64(result, fingerprint64(name))
        result = cat64(result, fingerprint64(signatures[name]))
    return result


def _function_hash(functions: dict[int, tuple[bytes, bytes]]) -> int:
    result = 0
    for uid in sorted(functions):
        name, value = functions[uid]
        result = cat64(result, fingerprint64(name.removesuffix(str(uid).encode())))
        result = cat64(result, fingerprint64(value))
    return result


def _entry(source: Source, part: Field) -> tuple[bytes, bytes]:
    """One entry of a map: its key and its value, as they are serialised."""
    if part.end - part.start > MAX_HASHED:
        raise BrokenProtoError(f"an entry of {part.end - part.start} bytes")
    key = value = b""
    for inner in fields(source, part.start, part.end):
        data = source.read(inner.start, inner.end - inner.start)
        key, value = (data, value) if inner.number == 1 else (key, data)
    return key, value


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
