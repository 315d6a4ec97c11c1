"""The nodes of a graph: names, ops, inputs, the functions they call, and their constants.

Sources: tensorflow/core/framework/{node_def,attr_value,tensor}.proto. Large values
of a tensor are never read: they are skipped in the file, and counted.
"""

from __future__ import annotations

import sys
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from checkpointd.formats.dtypes import dtype_name
from checkpointd.formats.facts import MALFORMED, FormatError
from checkpointd.formats.protobuf import (
    LENGTH,
    encode_varint,
    fields,
    map_entry,
    message,
    number,
    packed,
    signed,
    tensor_shape,
    text,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from checkpointd.formats.protobuf import Span, Value

_LARGE = 64 << 10
_BLOCK = 1 << 20
_MAX_DEPTH = 64
_KEPT_VALUES = 64
_KEPT_BYTES = 4096

_NAME, _OP, _INPUT, _ATTR = 1, 2, 3, 5
_LIST, _STRING, _TENSOR, _PLACEHOLDER, _FUNCTION = 1, 2, 8, 9, 10
_LIST_STRING, _LIST_FUNCTION = 2, 9
_DTYPE, _SHAPE, _CONTENT, _INTS, _STRINGS, _LONGS = 1, 2, 4, 7, 8, 10
_STRING_TYPE = 7
_WIDTHS = {3: 4, 9: 8}
"""Bytes of an element of int32 and int64, the types that shapes are given in."""


class Constant(NamedTuple):
    """A tensor in the graph.

    `stored` counts the bytes of its values in the file, which may be fewer than its shape needs.
    `strings` are its first values if it holds strings, `numbers` if it is a short list of int32 or
    int64; None if they are not kept.
    """

    dtype: str
    shape: tuple[int, ...]
    stored: int
    strings: tuple[bytes, ...] | None
    numbers: tuple[int, ...] | None


class Node(NamedTuple):
    """One node: `called` are the functions that its attributes name, `texts` their strings."""

    name: str
    op: str
    inputs: tuple[str, ...]
    called: tuple[str, ...]
    texts: Mapping[str, tuple[str, ...]]
    constant: Constant | None


BY_THE_CALLER = "(given by whoever calls the function)"
"""Placeholder for an attribute whose value each call of the function gives."""

_NOTHING: Mapping[str, tuple[str, ...]] = {}


class Window:
    """Reads a file in blocks, of which it keeps the last, so that a walk needs few calls."""

    def __init__(self, read: Callable[[int, int], bytes]) -> None:
        self._read = read
        self._start = 0
        self._block = b""

    def __call__(self, offset: int, size: int) -> bytes:
        """Read `size` bytes at `offset`, fewer at the end of the file."""
        at = offset - self._start
        if at < 0 or at + size > len(self._block):
            self._start, at = offset, 0
            self._block = self._read(offset, max(size, _BLOCK))
        return self._block[at : at + size]


def node_at(read: Callable[[int, int], bytes], span: Span) -> Node:
    """Read the NodeDef at a range of a file.

    Raises:
        FormatError: it is malformed, or cut short.
    """
    size = span.end - span.start
    if size <= _LARGE:
        return node_of(read(span.start, size))
    data, left_out = _trimmed(read, span.start, span.end, _TENSORS)
    return node_of(data, left_out)


def node_of(data: bytes, left_out: int = 0) -> Node:
    """Read a NodeDef.

    Args:
        data: its bytes.
        left_out: how many bytes of tensors' values are not in `data`.

    Raises:
        FormatError: it is malformed.
    """
    parts: dict[int, list[Value]] = {_NAME: [], _OP: [], _INPUT: [], _ATTR: []}
    for field, value in fields(data):
        if field in parts:
            parts[field].append(value)
    called: list[str] = []
    texts: dict[str, tuple[str, ...]] = {}
    tensors = []
    for attribute in parts[_ATTR]:
        key, held = map_entry(message(attribute))
        for kind, content in fields(held):
            if kind == _TENSOR:
                tensors.append(message(content))
            elif kind == _FUNCTION:
                called.extend(_functions(kind, message(content)))
            elif kind == _LIST:
                _list(key, message(content), called, texts)
            elif kind in (_STRING, _PLACEHOLDER) and key[:1] != "_":
                texts[key] = (text(content) if kind == _STRING else BY_THE_CALLER,)
    constant = _constant(b"".join(tensors), left_out) if tensors else None
    name, op = (text(parts[f][-1]) if parts[f] else "" for f in (_NAME, _OP))
    inputs = tuple(text(value) for value in parts[_INPUT])
    return Node(name, sys.intern(op), inputs, tuple(called), texts or _NOTHING, constant)


def _list(key: str, data: bytes, called: list[str], texts: dict[str, tuple[str, ...]]) -> None:
    """Read a list that an attribute holds: the functions and the strings in it."""
    held = list(fields(data))
    if any(field == _LIST_FUNCTION for field, _ in held):
        called.extend(_functions(_LIST, data))
    strings = tuple(text(value) for field, value in held if field == _LIST_STRING)
    if strings:
        texts[key] = (*texts.get(key, ()), *strings)


def last(values: Iterable[str], otherwise: str = "") -> str:
    """Return the last value of a field that is not repeated, which is the one that counts."""
    return next(iter(deque(values, maxlen=1)), otherwise)


def _functions(kind: int, data: bytes) -> Iterator[str]:
    """Yield the names of functions in an attribute, and in the attributes of those functions."""
    left = [(kind, data, 0)]
    while left:
        kind, data, depth = left.pop()
        if depth > _MAX_DEPTH:
            raise FormatError(MALFORMED, "The functions of a node are nested too deeply.")
        for field, content in fields(data):
            if kind == _LIST:
                if field == _LIST_FUNCTION:
                    left.append((_FUNCTION, message(content), depth + 1))
            elif field == 1:
                yield text(content)
            elif field == 2:  # NameAttrList.attr
                inner = fields(map_entry(message(content))[1])
                left.extend((f, message(v), depth + 1) for f, v in inner if f in (_LIST, _FUNCTION))


def _constant(data: bytes, left_out: int) -> Constant:
    """Read a TensorProto; of its values only what may be a path or a shape."""
    kind, stored, content = 0, left_out, b""
    shape: tuple[int, ...] = ()
    strings: list[bytes] = []
    numbers: list[int] = []
    for field, value in fields(data):
        if field == _DTYPE:
            kind = number(value)
        elif field == _SHAPE:
            shape = tensor_shape(message(value))
        else:
            stored += len(value) if isinstance(value, bytes) else 1
            if field == _STRINGS and len(strings) < _KEPT_VALUES:
                strings.append(message(value)[:_KEPT_BYTES])
            elif field == _CONTENT:
                content = message(value)
            elif field in (_INTS, _LONGS) and isinstance(value, int):
                numbers.append(signed(value))
            elif field in (_INTS, _LONGS) and isinstance(value, bytes):
                numbers.extend(islice(packed(value), _KEPT_VALUES + 1))
    if kind == _STRING_TYPE and content:
        strings.append(_joined(content, shape)[:_KEPT_BYTES])
    width = _WIDTHS.get(kind)
    if width and content and len(content) <= _KEPT_VALUES * width:
        steps = range(0, len(content), width)
        numbers = [int.from_bytes(content[i : i + width], "little", signed=True) for i in steps]
    return Constant(
        dtype_name(kind),
        shape,
        stored,
        tuple(strings) if kind == _STRING_TYPE and not left_out else None,
        tuple(numbers) if width and not left_out and len(numbers) <= _KEPT_VALUES else None,
    )


def _joined(content: bytes, shape: tuple[int, ...]) -> bytes:
    """Return the concatenated strings of a packed tensor, which begins with their sizes."""
    count, at = 1, 0
    for size in shape:
        count = min(count * max(0, size), len(content))
    for _ in range(count):
        while at < len(content) and content[at] >= 0x80:  # not a size's last byte
            at += 1
        at += 1
    return content[at:]


_TENSORS = (_ATTR, 2, _TENSOR)
"""The fields that lead to a tensor in a node: attr.value.tensor."""


def _trimmed(
    read: Callable[[int, int], bytes], start: int, end: int, way: tuple[int, ...]
) -> tuple[bytes, int]:
    """Copy a message without the large values of the tensor that the fields in `way` lead to.

    Returns:
        The copy, and how many bytes of it are left out.
    """
    kept: list[bytes] = []
    left_out = 0
    before = start
    for span in walk(read, start, end):
        size = span.end - span.start
        if size > _LARGE and span.kind == LENGTH and way and span.number == way[0]:
            inner, less = _trimmed(read, span.start, span.end, way[1:])
            head = encode_varint(span.number << 3 | LENGTH) + encode_varint(len(inner))
            kept.append(head + inner)
            left_out += less
        elif size > _LARGE and not way and span.number != _SHAPE:
            left_out += size
        else:
            kept.append(read(before, span.end - before))
        before = span.end
    return b"".join(kept), left_out
