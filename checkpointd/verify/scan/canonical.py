"""A `saved_model.pb` as TensorFlow's C++ serialises it before it takes a fingerprint.

C++ writes the entries of every map in the order of their keys. Python, which writes the file, does
the same, but not for a map inside a map's value. So those have to be sorted before they are hashed;
the tables below list where maps are (the protos under tensorflow/core/framework and protobuf).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from checkpointd.formats.protobuf import LENGTH, Span, read_varint, walk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass
class Shape:
    """Which fields of a message are maps, and which are messages that contain maps."""

    maps: dict[int, Shape | None] = field(default_factory=dict)
    messages: dict[int, Shape] = field(default_factory=dict)


ATTR_VALUE = Shape()
_NAME_ATTR_LIST = Shape(maps={2: ATTR_VALUE})
ATTR_VALUE.messages = {10: _NAME_ATTR_LIST, 1: Shape(messages={9: _NAME_ATTR_LIST})}
NODE_DEF = Shape(maps={5: ATTR_VALUE})
FUNCTION_DEF = Shape(
    maps={4: None, 5: ATTR_VALUE, 6: None, 7: Shape(maps={1: ATTR_VALUE}), 8: None},
    messages={3: NODE_DEF},
)
GRAPH_DEF = Shape(messages={1: NODE_DEF, 2: Shape(messages={1: FUNCTION_DEF})})
STRUCTURED_VALUE = Shape()
_PAIR = Shape(messages={2: STRUCTURED_VALUE})
_VALUES = Shape(messages={1: STRUCTURED_VALUE})
STRUCTURED_VALUE.messages = {
    34: Shape(messages={2: STRUCTURED_VALUE}),
    51: _VALUES,
    52: _VALUES,
    53: Shape(maps={1: STRUCTURED_VALUE}),
    54: Shape(messages={2: _PAIR}),
}
CONCRETE_FUNCTION = Shape(messages={3: STRUCTURED_VALUE, 4: STRUCTURED_VALUE})
_FUNCTION_SPEC = Shape(messages={1: STRUCTURED_VALUE, 5: STRUCTURED_VALUE})
_SAVED_OBJECT = Shape(
    maps={11: None},
    messages={6: Shape(messages={2: _FUNCTION_SPEC}), 8: Shape(messages={4: _FUNCTION_SPEC})},
)
OBJECT_GRAPH = Shape(maps={2: CONCRETE_FUNCTION}, messages={1: _SAVED_OBJECT})
SIGNATURE_DEF = Shape(maps={1: None, 2: None, 4: None})
META_GRAPH = Shape(
    maps={4: None, 5: SIGNATURE_DEF},
    messages={1: Shape(maps={8: None}), 2: GRAPH_DEF, 7: OBJECT_GRAPH},
)
SAVED_MODEL = Shape(messages={2: META_GRAPH})


def canonical(data: bytes, shape: Shape) -> bytes:
    """Sort the entries of every map in a serialised message.

    Raises:
        FormatError: it is no message, or is cut short.
    """
    out: list[bytes | int] = []  # a number stands for the next entry of that map
    entries: dict[int, list[tuple[tuple[int, bytes], bytes]]] = {}
    at = 0
    for span in _spans(data):
        head, body = data[at : span.start], data[span.start : span.end]
        at = span.end
        if span.kind == LENGTH and span.number in shape.maps:
            entry = _entry(head, body, shape.maps[span.number])
            entries.setdefault(span.number, []).append(entry)
            out.append(span.number)
        elif span.kind == LENGTH and span.number in shape.messages:
            out.append(head + canonical(body, shape.messages[span.number]))
        else:
            out.append(head + body)
    ordered: Mapping[int, list[bytes]] = {
        number: [text for _, text in sorted(found)][::-1] for number, found in entries.items()
    }
    return b"".join(ordered[p].pop() if isinstance(p, int) else p for p in out)


def _spans(data: bytes) -> Iterator[Span]:
    return walk(lambda offset, size: data[offset : offset + size], 0, len(data))


def _entry(head: bytes, body: bytes, value: Shape | None) -> tuple[tuple[int, bytes], bytes]:
    """Return one entry of a map: its key, by which it is sorted, and its bytes."""
    spans = list(_spans(body))
    first = next(iter(spans), Span(1, LENGTH, 0, 0))
    if first.kind == LENGTH:
        key = (0, body[first.start : first.end])
    else:
        key = (read_varint(body, first.start)[0], b"")
    if value is None or len(spans) <= 1:
        return key, head + body
    start, end = spans[1].start, spans[1].end
    return key, head + body[:start] + canonical(body[start:end], value) + body[end:]
