"""Sorted string tables as TensorFlow writes them: the `.index` of a tensor bundle.

Source: tensorflow/tsl/lib/io/table (LevelDB's format): data blocks of prefix-compressed entries,
each block followed by a type byte and a masked CRC-32C over both, an index block, and a footer of
48 bytes that is written last. A block is plain or compressed with Snappy; there is no other type.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from checkpointd.formats import snappy
from checkpointd.formats.facts import CUT_SHORT, MALFORMED, TRUNCATED, UNREADABLE, FormatError
from checkpointd.formats.protobuf import read_varint
from checkpointd.formats.storage import LOCAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from checkpointd.formats.storage import Storage

MAGIC = bytes.fromhex("57fb808b247547db")
FOOTER_BYTES = 48

_TRAILER_BYTES = 5
_RESTART_BYTES = 4
_MASK_DELTA = 0xA282EAD8
_MASK32 = 0xFFFFFFFF
_PLAIN, _SNAPPY = 0, 1
_MAX_KEY = 1 << 16
_MAX_UNFOLDED = 1 << 28


class Handle(NamedTuple):
    """Where a block is: offset and size in bytes, without its trailer."""

    offset: int
    size: int


def unmask(crc: int) -> int:
    """Undo the masking of a stored CRC-32C (tensorflow/core/lib/hash/crc32c.h)."""
    rotated = (crc - _MASK_DELTA) & _MASK32
    return ((rotated >> 17) | (rotated << 15)) & _MASK32


def parse_footer(tail: bytes, size: int) -> Handle:
    """Read from the footer where the index block is.

    Args:
        tail: the last FOOTER_BYTES bytes of the table, or all of a shorter one.
        size: the table's size in bytes.

    Raises:
        FormatError: there is no footer, or it points outside the table.
    """
    if len(tail) < FOOTER_BYTES or not tail.endswith(MAGIC):
        raise FormatError(TRUNCATED, f"The index has {size} bytes and no footer{CUT_SHORT}")
    footer = tail[-FOOTER_BYTES:]
    at = 0
    values = []
    for _ in range(4):
        value, at = read_varint(footer, at)
        values.append(value)
    handle = Handle(values[2], values[3])
    _check(handle, size)
    return handle


def read_table(
    path: str,
    crc32c: Callable[[bytes], int] | None = None,
    storage: Storage = LOCAL,
) -> Iterator[tuple[bytes, bytes]]:
    """Return the keys and values of a table, in order.

    Args:
        path: the table.
        crc32c: computes an unmasked CRC-32C; blocks are checked when it is given.
        storage: where the table is.

    Raises:
        FormatError: the table is cut short or malformed, or a block's checksum does not hold.
        OSError: it cannot be read.
    """

    def read(offset: int, length: int) -> bytes:
        return storage.pread(path, offset, length)

    return read_entries(read, storage.stat(path).size, crc32c)


def read_entries(
    read: Callable[[int, int], bytes],
    size: int,
    crc32c: Callable[[bytes], int] | None = None,
    limit: int = _MAX_UNFOLDED,
) -> Iterator[tuple[bytes, bytes]]:
    """Return the keys and values of a table of `size` bytes that `read(offset, size)` reads.

    Args:
        read: gives bytes of the table, fewer at its end.
        size: of the table in bytes.
        crc32c: computes an unmasked CRC-32C; blocks are checked when it is given.
        limit: the most bytes that all keys and values may have together.

    Raises:
        FormatError: as `read_table` does. Blocks that overlap and keys that are not in order are
            malformed: a small table must not unfold into a large one.
    """

    def block(handle: Handle) -> bytes:
        _check(handle, size)
        return _content(read(handle.offset, handle.size + _TRAILER_BYTES), handle, crc32c)

    last: bytes | None = None
    footer = parse_footer(read(max(0, size - FOOTER_BYTES), FOOTER_BYTES), size)
    handles = [parse_handle(encoded) for _, encoded in entries(block(footer))]
    placed = sorted(handles)
    if any(one.offset + one.size > other.offset for one, other in zip(placed, placed[1:])):
        raise FormatError(MALFORMED, "Two blocks of the index overlap.")
    for handle in handles:
        for key, value in entries(block(handle)):
            if last is not None and key <= last:
                raise FormatError(MALFORMED, "The keys of the index are not in order.")
            last = key
            limit -= len(key) + len(value)
            if limit < 0:
                raise FormatError(UNREADABLE, "The names in the index are too long all together.")
            yield key, value


def parse_handle(encoded: bytes) -> Handle:
    """Read a block handle, the value of an index block's entry.

    Raises:
        FormatError: it is malformed.
    """
    offset, at = read_varint(encoded, 0)
    length, _ = read_varint(encoded, at)
    return Handle(offset, length)


def entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Return the keys and values of one block's content.

    Raises:
        FormatError: it is malformed.
    """
    restarts = int.from_bytes(block[-_RESTART_BYTES:], "little")
    end = len(block) - _RESTART_BYTES * (restarts + 1)
    if end < 0:
        raise FormatError(MALFORMED, "A block of the index is too short for its restart points.")
    key = b""
    at = 0
    while at < end:
        shared, at = read_varint(block, at)
        fresh, at = read_varint(block, at)
        length, at = read_varint(block, at)
        if shared > len(key) or at + fresh + length > end:
            raise FormatError(MALFORMED, "An entry of the index reaches beyond its block.")
        key = key[:shared] + block[at : at + fresh]
        if len(key) > _MAX_KEY:
            raise FormatError(UNREADABLE, f"A name in the index has {len(key)} bytes.")
        at += fresh
        yield key, block[at : at + length]
        at += length


def first_entry(head: bytes) -> tuple[bytes, bytes] | None:
    """Read the first entry of a bundle's index from its beginning; None if that is too short.

    Its key is empty, so a plain block begins with two zeros, and a compressed one with its length.
    """
    try:
        if head[:1] != b"\0":
            head = snappy.unpack_beginning(head)
        shared, at = read_varint(head, 0)
        fresh, at = read_varint(head, at)
        length, at = read_varint(head, at)
    except FormatError:
        return None
    if shared or at + fresh + length > len(head):
        return None
    return head[at : at + fresh], head[at + fresh : at + fresh + length]


def _check(handle: Handle, size: int) -> None:
    if handle.offset + handle.size + _TRAILER_BYTES > size - FOOTER_BYTES:
        raise FormatError(MALFORMED, "The index points outside itself: bytes are missing or wrong.")


def _content(data: bytes, handle: Handle, crc32c: Callable[[bytes], int] | None) -> bytes:
    if len(data) < handle.size + _TRAILER_BYTES:
        raise FormatError(TRUNCATED, "The index became shorter while it was read.")
    kind = data[handle.size]
    if crc32c is not None:
        stored = unmask(int.from_bytes(data[handle.size + 1 : handle.size + 5], "little"))
        if crc32c(data[: handle.size + 1]) != stored:
            raise FormatError(
                MALFORMED, f"The checksum of the index's block at byte {handle.offset} is wrong."
            )
    if kind == _SNAPPY:
        return snappy.unpack(data[: handle.size])
    if kind != _PLAIN:
        raise FormatError(UNREADABLE, f"A block of the index has the unknown type {kind}.")
    return data[: handle.size]
