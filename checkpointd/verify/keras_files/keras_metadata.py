"""`keras_metadata.pb`: the configurations that Keras 2 keeps beside the graph of a SavedModel.

Source: tensorflow/python/keras/protobuf/saved_metadata.proto: `SavedMetadata.nodes` (1), and of a
`SavedObject` its `node_path` (3) and `metadata` (5), which is JSON. TensorFlow does not read it;
`load_model` of Keras 2 makes layers from it, Lambda layers too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from checkpointd.formats import FormatError, bounded_json
from checkpointd.formats.protobuf import fields
from checkpointd.formats.storage import LOCAL

MEMBER = "/keras_metadata.pb"
"""Its name among the members of a SavedModel."""

_NODES, _PATH, _METADATA = 1, 3, 5


@dataclass(frozen=True)
class Metadata:
    """The configurations of a model's objects, and why any others could not be read."""

    configs: tuple[Any, ...]
    problem: str = ""


def read(path: str) -> Metadata:
    """Read the configurations of every object.

    Args:
        path: of the SavedModel.

    Raises:
        OSError: it cannot be read.
    """
    size = LOCAL.stat(path + MEMBER).size
    if size > bounded_json.MAX_BYTES:
        return Metadata((), f"it has {size} bytes")
    data = LOCAL.pread(path + MEMBER, 0, size)
    configs: list[Any] = []
    try:
        for number, value in fields(data):
            if number == _NODES and isinstance(value, bytes):
                part = dict(fields(value))
                text = part.get(_METADATA, b"{}")
                where = bytes(part.get(_PATH, b"")).decode("utf-8", "replace")
                if isinstance(text, bytes):
                    configs.append(bounded_json.parse(text, f"the metadata of {where}"))
    except (FormatError, TypeError) as error:
        return Metadata(tuple(configs), str(error).rstrip("."))
    return Metadata(tuple(configs))
