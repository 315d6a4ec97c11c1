"""A minimal reader of protocol buffers' wire format: fields by number, no schema, no recursion.

Source: https://protobuf.dev/programming-guides/encoding/. Small messages are read from memory;
a large file is walked field by field without reading what is skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Union

from checkpointd.formats.facts import MALFORMED, TRUNCATED, FormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5

_MAX_VARINT_BYTES = 10
_SHORT_HEADER, _LONG_HEADER = 8, 20
_MORE = 0x80
"""The bit of a varint's byte that is set while more bytes follow."""

_MASK64 = (1 << 64) - 1
_SIGN64 = 1 << 63

Value = Union[int, bytes]


class Span(NamedTuple):
    """A field in a file: its number, wire type, and where its content is, in bytes."""

    number: int
    kind: int
    start: int
    end: int


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Read one unsigned base-128 number and return where it ends.

    Raises:
        FormatError: the data ends within it, or it is longer than 64 bits.
    """
    result = shift = 0
    for index in range(at, at + _MAX_VARINT_BYTES):
        if index >= len(data):
            raise FormatError(TRUNCATED, "A number is cut short.")
        byte = data[index]
        result |= (byte & 0x7F) << shift
        if byte < _MORE:
            return result & _MASK64, index + 1
        shift += 7
    raise FormatError(MALFORMED, "A number has more than 64 bits.")


def encode_varint(value: int) -> bytes:
    """Encode an unsigned number of up to 64 bits."""
    encoded = bytearray()
    while value >= _MORE:
        encoded.append(value & 0x7F | _MORE)
        value >>= 7
    return bytes([*encoded, value])


def signed(value: int) -> int:
    """Read a varint as protobuf's int32 or int64."""
    return value - (1 << 64) if value & _SIGN64 else value


def fields(data: bytes) -> Iterator[tuple[int, Value]]:
    """Return the fields of a message: numbers as unsigned integers, everything else as bytes.

    Raises:
        FormatError: it is no message, or is cut short.
    """
    at, end = 0, len(data)
    while at < end:
        tag = data[at]
        if tag < _MORE:  # nearly always, and a graph has millions of fields
            at += 1
        else:
            tag, at = read_varint(data, at)
        kind = tag & 7
        if tag == kind:
            raise FormatError(MALFORMED, "A field has the number 0, which none has.")
        if kind == LENGTH and at < end and data[at] < _MORE:
            length = data[at]
            at += 1
        elif kind == VARINT:
            value, at = read_varint(data, at)
            yield tag >> 3, value
            continue
        else:
            length, at = _length(kind, data, at)
        if at + length > end:
            raise FormatError(TRUNCATED, "A message is cut short.")
        piece = data[at : at + length]
        at += length
        yield tag >> 3, piece if kind == LENGTH else int.from_bytes(piece, "little")


def walk(read: Callable[[int, int], bytes], start: int, end: int) -> Iterator[Span]:
    """Walk over the fields of a message in a file, reading 8 bytes for most.

    Args:
        read: gives bytes from an offset, fewer at the end of the file.
        start: where the message begins.
        end: where it ends; a field that would reach beyond is cut short.

    Raises:
        FormatError: it is no message, or is cut short.
    """
    at = start
    while at < end:
        try:
            span = _span(at, read(at, min(_SHORT_HEADER, end - at)))
        except FormatError as error:
            if error.word != TRUNCATED:
                raise
            span = _span(at, read(at, min(_LONG_HEADER, end - at)))
        if span.end > end:
            raise FormatError(
                TRUNCATED, f"It ends at byte {end} within a part that goes on to {span.end}."
            )
        yield span
        at = span.end


def text(value: Value) -> str:
    """Read a field as a string; what is not UTF-8 is kept by escapes."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def message(value: Value) -> bytes:
    """Read a field as an embedded message.

    Raises:
        FormatError: it is a number.
    """
    if isinstance(value, int):
        raise FormatError(MALFORMED, "A number stands where a message should.")
    return value


def number(value: Value) -> int:
    """Read a field as an unsigned number.

    Raises:
        FormatError: it is a message or a string.
    """
    if isinstance(value, bytes):
        raise FormatError(MALFORMED, "A message stands where a number should.")
    return value


def messages(data: bytes, field: int) -> Iterator[bytes]:
    """Yield the embedded messages that a field of a message holds.

    Raises:
        FormatError: it is no message, or one of them is a number.
    """
    return (message(value) for index, value in fields(data) if index == field)


def texts(data: bytes, *numbers: int) -> Iterator[str]:
    """Yield the strings that some fields of a message hold, in their order in it.

    Raises:
        FormatError: it is no message.
    """
    return (text(value) for index, value in fields(data) if index in numbers)


def map_entry(data: bytes) -> tuple[str, bytes]:
    """Read one entry of a map from strings to messages.

    A message that comes in two pieces is the two put together, as protobuf has it.

    Raises:
        FormatError: it is malformed.
    """
    key, value = "", b""
    for index, content in fields(data):  # once: a graph has an entry for each attribute of a node
        if index == 1:
            key = text(content)
        elif index == 2:  # noqa: PLR2004 - a map entry's value
            value += message(content)
    return key, value


def packed(data: bytes) -> Iterator[int]:
    """Yield the numbers of a packed field, as int32 or int64.

    Raises:
        FormatError: it is malformed.
    """
    at = 0
    while at < len(data):
        value, at = read_varint(data, at)
        yield signed(value)


def tensor_shape(data: bytes) -> tuple[int, ...]:
    """Read the dimensions of TensorFlow's TensorShapeProto, -1 for an open one.

    Raises:
        FormatError: it is malformed.
    """
    return tuple(
        next((signed(number(size)) for index, size in fields(dim) if index == 1), 0)
        for dim in messages(data, 2)
    )


def _span(at: int, header: bytes) -> Span:
    """Read a field's header at `at`; a varint's value is in its header."""
    tag, used = read_varint(header, 0)
    kind = tag & 7
    if kind == VARINT:
        return Span(tag >> 3, kind, at + used, at + read_varint(header, used)[1])
    length, used = _length(kind, header, used)
    return Span(tag >> 3, kind, at + used, at + used + length)


def _length(kind: int, data: bytes, at: int) -> tuple[int, int]:
    """Return how many bytes a field's content has that is no varint, and where it begins."""
    if kind == LENGTH:
        return read_varint(data, at)
    if kind == FIXED64:
        return 8, at
    if kind == FIXED32:
        return 4, at
    raise FormatError(MALFORMED, f"A field has the unknown wire type {kind}.")
