"""Mutations of bytes, of JSON and of protocol buffers: seeded, one call is one mutation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.helpers.protobuf import varint

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

NUMBERS = (0, 1, 2, 7, 0x7F, 0x80, 0xFF, 0xFFFF, 1 << 31, (1 << 32) - 1, (1 << 63) - 1, 1 << 63)
WILD: tuple[Any, ...] = (
    *(None, True, -1, 0, 1 << 70, 10**400, 1e308, float("nan"), float("inf")),
    *("", "\ud800", "\0", "a" * 5000, "../../x", "/", "__lambda__", "function", "Lambda"),
    *([], {}, [[]], [None], {"": None}, {"class_name": 5}, {"class_name": "Dense", "config": []}),
)


def flip(data: bytearray, rng: random.Random) -> None:
    """Flip a few bits."""
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def overwrite(data: bytearray, rng: random.Random) -> None:
    """A run of zeros, of ones, or of noise."""
    at, size = rng.randrange(len(data)), rng.choice((1, 2, 4, 16, 64, 512))
    run = rng.choice((bytes(size), b"\xff" * size, rng.randbytes(size)))
    data[at : at + size] = run[: len(data) - at]


def truncate(data: bytearray, rng: random.Random) -> None:
    """Cut it short."""
    del data[rng.randrange(len(data)) :]


def insert(data: bytearray, rng: random.Random) -> None:
    """Bytes that were not there."""
    at = rng.randrange(len(data))
    data[at:at] = rng.randbytes(rng.choice((1, 2, 8, 100)))


def remove(data: bytearray, rng: random.Random) -> None:
    """Bytes that are not there any more."""
    at = rng.randrange(len(data))
    del data[at : at + rng.choice((1, 2, 8, 100))]


def swap(data: bytearray, rng: random.Random) -> None:
    """Two blocks change places."""
    size = min(rng.choice((8, 64, 512)), len(data) // 2)
    one, other = sorted(rng.randrange(len(data) - size + 1) for _ in range(2))
    if one + size <= other:
        first = data[one : one + size]
        data[one : one + size] = data[other : other + size]
        data[other : other + size] = first


def number(data: bytearray, rng: random.Random) -> None:
    """A number of 1, 2, 4 or 8 bytes that may be a length, at its edge."""
    width = rng.choice((1, 2, 4, 8))
    at = rng.randrange(max(1, len(data) - width))
    value = rng.choice((*NUMBERS, len(data), len(data) - 1, len(data) + 1))
    encoded = (value % (1 << 8 * width)).to_bytes(width, "little")
    data[at : at + width] = encoded[: len(data) - at]


RAW: tuple[Callable[[bytearray, random.Random], None], ...] = (
    *(flip, flip, overwrite, truncate, insert, remove, swap, number, number),
)


def mutated(data: bytes, rng: random.Random, other: bytes = b"") -> bytes:
    """One mutation of bytes; now and then the end of another file of its kind."""
    if not data:
        return rng.randbytes(8)
    if other and rng.random() < 0.1:
        at = rng.randrange(min(len(data), len(other)))
        return data[:at] + other[at:]
    changed = bytearray(data)
    rng.choice(RAW)(changed, rng)
    return bytes(changed)


def json_mutated(text: bytes, rng: random.Random) -> bytes:
    """Put something wild in a random place of a JSON document, or leave something out."""
    value = json.loads(text)
    places: list[tuple[Any, Any]] = []
    stack = [value]
    while stack:
        one = stack.pop()
        keys: list[Any] = list(one) if isinstance(one, dict) else list(range(len(one)))
        places += [(one, key) for key in keys]
        stack += [one[key] for key in keys if isinstance(one[key], (dict, list))]
    for _ in range(rng.choice((1, 1, 3))):
        holder, key = rng.choice(places)
        try:
            if isinstance(holder, dict) and rng.random() < 0.2:
                del holder[key]
            else:
                holder[key] = rng.choice(WILD)
        except (KeyError, IndexError):  # it is gone already
            continue
    return json.dumps(value).encode()


Field = tuple[int, int, Any]


def parsed(data: bytes, depth: int = 12) -> list[Field] | None:
    """The fields of a message, each (number, wire type, value), as deep as they are messages."""
    fields: list[Field] = []
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if at < 0 or not tag >> 3 or kind not in (0, 1, 2, 5):
            return None
        if kind == 0:
            value, at = _varint(data, at)
            if at < 0:
                return None
            fields.append((tag >> 3, 0, value))
            continue
        size = {1: 8, 5: 4}.get(kind, 0)
        if kind == 2:
            size, at = _varint(data, at)
        if at < 0 or at + size > len(data):
            return None
        piece = data[at : at + size]
        inner = parsed(piece, depth - 1) if kind == 2 and depth and size else None
        fields.append((tag >> 3, kind, piece if inner is None else inner))
        at += size
    return fields


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        value |= (data[at] & 0x7F) << shift
        at += 1
        if data[at - 1] < 0x80:
            return value, at
        shift += 7
    return 0, -1


def serialised(fields: list[Field]) -> bytes:
    """The inverse of `parsed`."""
    out = b""
    for tag, kind, value in fields:
        out += varint(tag << 3 | kind)
        if kind == 0:
            out += varint(value)
            continue
        piece = serialised(value) if isinstance(value, list) else value
        out += (varint(len(piece)) if kind == 2 else b"") + piece
    return out


def message_mutated(data: bytes, rng: random.Random) -> bytes:
    """Change one field of a message somewhere, with the lengths of all around it corrected."""
    fields = parsed(data)
    if not fields:
        return mutated(data, rng)
    here = fields
    while True:
        at = rng.randrange(len(here))
        tag, kind, value = here[at]
        if isinstance(value, list) and value and rng.random() < 0.85:
            here = value
            continue
        what = rng.randrange(5)
        if what == 0:
            del here[at]
        elif what == 1:
            here.insert(at, here[rng.randrange(len(here))])
        elif what == 2:
            here[at] = (rng.randrange(1, 20), kind, value)
        elif kind == 0:
            here[at] = (tag, 0, rng.choice((*NUMBERS, (1 << 64) - 1)))
        else:
            piece = serialised(value) if isinstance(value, list) else value
            here[at] = (tag, 2, mutated(piece, rng))
        return serialised(fields)
