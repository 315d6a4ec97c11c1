"""What a SavedModel offers, as `saved_model_cli show --all` lists it: graph by graph.

Sources: tensorflow/core/protobuf/{saved_model,meta_graph,saved_object_graph,struct}.proto;
tensorflow/python/tools/saved_model_cli.py. Of the concrete functions those of the root object are
listed, because only they can be called by a name.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from checkpointd.formats.dtypes import dtype_name
from checkpointd.formats.facts import MALFORMED, FormatError
from checkpointd.formats.graph import META_GRAPH, OBJECT_GRAPH, whole
from checkpointd.formats.protobuf import (
    fields,
    map_entry,
    message,
    messages,
    number,
    signed,
    tensor_shape,
    text,
    texts,
    walk,
)
from checkpointd.verify.scan.saved_model.meta_graph import read_graphs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from checkpointd.formats.protobuf import Span, Value

    Read = Callable[[int, int], bytes]

_META_INFO, _SIGNATURE = 1, 5
_MAX_DEPTH = 32
_MAX_OPTIONS = 1000
_PRIVATE = "__saved_model_"


def outline(read: Read, size: int) -> list[dict[str, Any]]:
    """List what each graph of a SavedModel offers.

    Args:
        read: returns bytes of `saved_model.pb` from an offset, fewer at its end.
        size: of it, in bytes.

    Returns:
        For each graph `tags`; `methods`, the method name of each signature; `tensors`, for each
        signature the names in the graph of what it takes and gives; `functions`, for each function
        of the root object the arguments of each way to call it; `ops`.

    Raises:
        FormatError: it is malformed, or cut short.
        OSError: it cannot be read.
    """
    spans = [top for top in walk(read, 0, size) if top.number == META_GRAPH]
    graphs = [_described(read, span) for span in spans]
    for graph, found in zip(graphs, read_graphs(read, size)):
        nodes = [*found.nodes, *(n for f in found.functions.values() for n in f.nodes)]
        graph["ops"] = sorted({node.op for node in nodes} - set(found.functions))
    return graphs


def _described(read: Read, span: Span) -> dict[str, Any]:
    outline: dict[str, Any] = {"tags": [], "methods": {}, "tensors": {}, "functions": {}}
    for part in walk(read, span.start, span.end):
        if part.number == _META_INFO:
            outline["tags"] = list(texts(whole(read, part), 4))
        elif part.number == _SIGNATURE:
            name, definition = map_entry(whole(read, part))
            if not name.startswith(_PRIVATE):
                outline["methods"][name] = "".join(texts(definition, 3))
                outline["tensors"][name] = {
                    "inputs": dict(sorted(_tensors(definition, 1))),
                    "outputs": dict(sorted(_tensors(definition, 2))),
                }
        elif part.number == OBJECT_GRAPH:
            outline["functions"] = _functions(read, part)
    return outline


def _tensors(definition: bytes, field: int) -> Iterator[tuple[str, str]]:
    """Yield the keys of a SignatureDef's inputs or outputs, with the names of their tensors."""
    for entry in messages(definition, field):
        key, info = map_entry(entry)
        yield key, ", ".join(_names(info))


def _names(info: bytes) -> Iterator[str]:
    """Yield the names in a TensorInfo: one, or those of the parts of a sparse or composite one."""
    yield from texts(info, 1)
    for parts in messages(info, 4):
        yield from texts(parts, 1, 2, 3)
    for composite in messages(info, 5):
        for component in messages(composite, 2):
            yield from texts(component, 1)


def _functions(read: Read, span: Span) -> dict[str, list[list[str]]]:
    """Read the functions of the root object, with the arguments of each way to call them."""
    children: list[tuple[int, str]] = []
    held: dict[int, list[str]] = {}
    signatures: dict[str, bytes] = {}
    index = 0
    for part in walk(read, span.start, span.end):
        if part.number == 1:
            data = whole(read, part)
            if index == 0:
                children = [_reference(reference) for reference in messages(data, 1)]
            names = [n for field in (6, 8) for m in messages(data, field) for n in texts(m, 1)]
            if names:
                held[index] = names
            index += 1
        elif part.number == 2:  # SavedObjectGraph.concrete_functions
            name, function = map_entry(whole(read, part))
            signatures[name] = b"".join(messages(function, 3))
    return {
        name: [_arguments(signatures.get(one, b"")) for one in held[number][:_MAX_OPTIONS]]
        for number, name in sorted(children, key=lambda child: child[1])
        if number in held
    }


def _reference(data: bytes) -> tuple[int, str]:
    """Read an ObjectReference: the number of an object, and its name as an attribute."""
    by_number = dict(fields(data))
    return signed(number(by_number.get(1, 0))), text(by_number.get(2, b""))


def _arguments(signature: bytes) -> list[str]:
    """Write the arguments of a concrete function: the positional ones, then those by name."""
    value = _structure(signature)
    if not (isinstance(value, tuple) and len(value) == 2):  # args, kwargs
        return [_written(value)] if signature else []
    positional, named = value
    listed = positional if isinstance(positional, tuple) else (positional,)
    by_name = named.items() if isinstance(named, dict) else ()
    return [*map(_written, listed), *(f"{key}={_written(one)}" for key, one in by_name)]


class _Spec(str):
    """A tensor, as it is written; not a string value."""

    __slots__ = ()


def _structure(data: bytes, depth: int = 0) -> Any:
    """Read a StructuredValue (struct.proto).

    Raises:
        FormatError: it is malformed.
    """
    if depth > _MAX_DEPTH:
        raise FormatError(MALFORMED, "The arguments of a function are nested too deeply.")
    parts = list(fields(data))
    if not parts:
        return None
    kind, value = parts[-1]
    if kind in _LEAVES:
        return _LEAVES[kind](value)
    below = depth + 1
    if kind in (51, 52):  # list_value, tuple_value
        items = [_structure(one, below) for one in messages(message(value), 1)]
        return tuple(items) if kind == 52 else items
    if kind == 53:  # dict_value
        entries = (map_entry(entry) for entry in messages(message(value), 1))
        return {key: _structure(one, below) for key, one in entries}
    if kind == 54:  # named_tuple_value
        pairs = [dict(fields(pair)) for pair in messages(message(value), 2)]
        return {text(p.get(1, b"")): _structure(message(p.get(2, b"")), below) for p in pairs}
    return _Spec("?")


def _spec(value: Value) -> _Spec:
    """Write a TensorSpec: its name, dtype and shape."""
    by_number = dict(fields(message(value)))
    name, dtype = text(by_number.get(1, b"")), dtype_name(number(by_number.get(3, 0)))
    return _Spec(f"{name}: {dtype}{_shape(message(by_number.get(2, b'')))}".removeprefix(": "))


def _shape(data: bytes) -> str:
    if any(index == 3 and content for index, content in fields(data)):  # unknown_rank
        return ""
    return f"[{', '.join('?' if size < 0 else str(size) for size in tensor_shape(data))}]"


def _double(value: Value) -> float:
    return float(struct.unpack("<d", number(value).to_bytes(8, "little"))[0])


def _zigzag(value: Value) -> int:
    encoded = number(value)
    return (encoded >> 1) ^ -(encoded & 1)


_LEAVES: dict[int, Callable[[Any], Any]] = {
    1: lambda _value: None,
    11: _double,
    12: _zigzag,
    13: text,
    14: lambda value: bool(number(value)),
    31: lambda value: _Spec(_shape(message(value))),
    32: lambda value: _Spec(dtype_name(number(value))),
    33: _spec,
    35: _spec,
}
"""How each kind of value without parts is read, by its field."""


def _written(value: Any) -> str:
    if isinstance(value, _Spec):
        return str(value)
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_written(one)}" for key, one in value.items()) + "}"
    return repr(value)
