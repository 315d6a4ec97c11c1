"""Snappy's block format, read within bounds; TensorFlow's tables may be compressed with it.

Source: https://github.com/google/snappy/blob/main/format_description.txt. The declared length is
held against what was there to unpack before anything is made of it: no element of the format
yields more than 64 bytes from fewer than 3, but for literals, which yield less than they take.
"""

from __future__ import annotations

from checkpointd.formats.facts import MALFORMED, UNREADABLE, FormatError
from checkpointd.formats.protobuf import read_varint

MAX_UNPACKED = 64 << 20
"""The most that one block may unpack to; TensorFlow's writer ends a block beyond 256 KiB."""

_MAX_LENGTH = (1 << 32) - 1
_MAX_EXPANSION = 64 // 2
_LONGEST_SHORT_LITERAL = 60
_LITERAL, _COPY_1, _COPY_2 = 0, 1, 2


def unpack(data: bytes) -> bytes:
    """Unpack a block.

    Raises:
        FormatError: it is malformed, or unpacks to more than MAX_UNPACKED.
    """
    declared, at = read_varint(data, 0)
    if declared > min(_MAX_LENGTH, _MAX_EXPANSION * len(data)):
        raise FormatError(
            MALFORMED,
            f"A Snappy block of {len(data)} bytes cannot unpack to {declared}, as it claims.",
        )
    if declared > MAX_UNPACKED:
        raise FormatError(
            UNREADABLE,
            f"A Snappy block has {declared} bytes, more than the {MAX_UNPACKED} unpacked here.",
        )
    unpacked, end = _unpack(data, at, declared)
    if len(unpacked) != declared or end != len(data):
        raise FormatError(
            MALFORMED,
            f"A Snappy block unpacks to {len(unpacked)} bytes, and {declared} were declared.",
        )
    return bytes(unpacked)


def unpack_beginning(data: bytes) -> bytes:
    """Unpack as much of a block as its beginning gives.

    Raises:
        FormatError: it is malformed.
    """
    declared, at = read_varint(data, 0)
    return bytes(_unpack(data, at, min(declared, _MAX_EXPANSION * len(data)))[0])


def _unpack(data: bytes, at: int, most: int) -> tuple[bytearray, int]:
    """Unpack elements, the last one as far as it goes; return where it would have to end."""
    unpacked = bytearray()
    end = len(data)
    while at < end and len(unpacked) < most:
        tag = data[at]
        kind, above = tag & 3, tag >> 2
        start = at + 1
        if kind == _LITERAL:
            if above >= _LONGEST_SHORT_LITERAL:
                width = above - _LONGEST_SHORT_LITERAL + 1
                above = int.from_bytes(data[start : start + width], "little")
                start += width
            unpacked += data[start : start + above + 1]
            at = start + above + 1
            continue
        if kind == _COPY_1:
            length, width, high = 4 + (above & 7), 1, above >> 3 << 8
        else:
            length, width, high = 1 + above, 2 if kind == _COPY_2 else 4, 0
        if start + width > end:
            break
        back = high | int.from_bytes(data[start : start + width], "little")
        if not 0 < back <= len(unpacked):
            raise FormatError(MALFORMED, "A Snappy block refers to bytes before its beginning.")
        first = len(unpacked) - back
        piece = unpacked[first : first + length]
        if back < length:
            piece = (piece * (length // back + 1))[:length]
        unpacked += piece
        at = start + width
    return unpacked, at
