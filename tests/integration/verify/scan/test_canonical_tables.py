"""The tables of maps in a SavedModel, compared with TensorFlow's own definitions."""

from __future__ import annotations

from typing import Any

from tensorflow.core.protobuf import saved_model_pb2

from checkpointd.verify.scan.canonical import SAVED_MODEL, Shape


def differences(shape: Shape, message: Any, seen: set[tuple[int, str]]) -> list[str]:
    """Fields that the table has otherwise than the definition of a message."""
    if (id(shape), message.full_name) in seen:
        return []
    seen.add((id(shape), message.full_name))
    found = []
    fields = {field.number: field for field in message.fields}
    for number, below in (*shape.maps.items(), *shape.messages.items()):
        field = fields.get(number)
        if field is None or field.message_type is None:
            found.append(f"{message.full_name} has no message in field {number}")
            continue
        is_map = field.message_type.GetOptions().map_entry
        if is_map != (number in shape.maps):
            found.append(f"{field.full_name} is {'a' if is_map else 'no'} map")
            continue
        inner = field.message_type
        if is_map:
            inner = inner.fields_by_name["value"].message_type
        if below is not None:
            found += differences(below, inner, seen)
    found += [
        f"{field.full_name} is a map that is not sorted"
        for number, field in fields.items()
        if field.message_type is not None
        and field.message_type.GetOptions().map_entry
        and number not in shape.maps
    ]
    return found


def test_the_tables_name_the_fields_that_tensorflow_has() -> None:
    """A wrong number reads a string as a message: a good model would be called damaged."""
    assert differences(SAVED_MODEL, saved_model_pb2.SavedModel.DESCRIPTOR, set()) == []
