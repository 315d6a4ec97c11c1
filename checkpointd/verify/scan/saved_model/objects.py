"""The objects of a SavedModel of TensorFlow 2: their functions, and who calls those.

Source: tensorflow/core/protobuf/saved_object_graph.proto; what loading calls is decided in
tensorflow/python/saved_model/load.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from checkpointd.formats.graph import whole
from checkpointd.formats.protobuf import (
    fields,
    map_entry,
    message,
    messages,
    number,
    packed,
    signed,
    texts,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from checkpointd.formats.protobuf import Span


@dataclass
class Objects:
    """The objects of TensorFlow 2, by number.

    `functions` maps a concrete function to the objects that it captures, `constants` a constant to
    its node. `named` are the functions of objects, `saving` those that save an object, `loading`
    those that loading calls.
    """

    functions: dict[str, tuple[int, ...]] = field(default_factory=dict)
    assets: set[int] = field(default_factory=set)
    constants: dict[int, str] = field(default_factory=dict)
    named: set[str] = field(default_factory=set)
    saving: set[str] = field(default_factory=set)
    loading: set[str] = field(default_factory=set)


@dataclass
class _Roles:
    """What objects are for, by number, collected until all objects are read."""

    held: dict[int, tuple[str, ...]] = field(default_factory=dict)
    children: set[int] = field(default_factory=set)
    saving: set[int] = field(default_factory=set)
    loading: set[int] = field(default_factory=set)


def read_objects(read: Callable[[int, int], bytes], span: Span, objects: Objects) -> None:
    """Read a SavedObjectGraph.

    Raises:
        FormatError: it is malformed.
    """
    roles = _Roles()
    count = 0
    for part in walk(read, span.start, span.end):
        if part.number == 1:
            _object(whole(read, part), count, objects, roles)
            count += 1
        elif part.number == 2:  # SavedObjectGraph.concrete_functions
            name, value = map_entry(whole(read, part))
            objects.functions[name] = tuple(_captures(value))
    called = roles.saving - roles.children  # what has a name can be called otherwise too
    objects.saving.update(name for index in called for name in roles.held.get(index, ()))
    objects.loading.update(name for i in roles.loading for name in roles.held.get(i, ()))
    objects.named.update(name for names in roles.held.values() for name in names)


def _object(data: bytes, index: int, objects: Objects, roles: _Roles) -> None:
    """Read a SavedObject."""
    children = set(_children(data))
    roles.children |= children
    for key, value in fields(data):
        if key == 5:  # SavedObject.asset
            objects.assets.add(index)
        elif key in (6, 8):  # function, bare_concrete_function
            held = tuple(texts(message(value), 1))
            roles.held[index] = (*roles.held.get(index, ()), *held)
        elif key == 9:  # SavedObject.constant
            objects.constants[index] = "".join(texts(message(value), 1))
        elif key == 10:  # SavedObject.resource, made and initialised by its children
            roles.loading |= children
        elif key == 11:  # SavedObject.saveable_objects
            functions = list(fields(map_entry(message(value))[1]))
            roles.saving.update(signed(number(v)) for f, v in functions if f == 2)
            roles.loading.update(signed(number(v)) for f, v in functions if f == 3)


def _children(data: bytes) -> Iterator[int]:
    """Yield the objects that a SavedObject has as attributes."""
    for reference in messages(data, 1):
        yield signed([0, *(number(v) for f, v in fields(reference) if f == 1)][-1])


def _captures(data: bytes) -> Iterator[int]:
    """Yield the objects that a SavedConcreteFunction captures; the numbers may be packed."""
    for key, value in fields(data):
        if key == 2 and isinstance(value, int):  # bound_inputs
            yield signed(value)
        elif key == 2 and isinstance(value, bytes):  # the same, packed
            yield from packed(value)
