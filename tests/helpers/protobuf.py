"""Messages of protocol buffers, written by hand."""

from __future__ import annotations


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
