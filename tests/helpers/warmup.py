"""Warm-up requests for TensorFlow Serving, written as its own tools write them."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import google_crc32c

from tests.helpers.bundles import mask
from tests.helpers.protobuf import field

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def framed(records: Iterable[bytes]) -> bytes:
    """A TFRecord file."""
    out = b""
    for record in records:
        length = struct.pack("<Q", len(record))
        out += length + struct.pack("<I", mask(google_crc32c.value(length)))
        out += record + struct.pack("<I", mask(google_crc32c.value(record)))
    return out


def predict_log(inputs: dict[str, bytes], signature: str = "") -> bytes:
    """A PredictionLog with a PredictRequest; `inputs` are serialised TensorProtos."""
    model = field(1, b"model") + (field(3, signature.encode()) if signature else b"")
    entries = b"".join(field(2, field(1, k.encode()) + field(2, v)) for k, v in inputs.items())
    return field(6, field(1, field(1, model) + entries))


def proto(values: Any) -> bytes:
    """A serialised TensorProto."""
    import tensorflow as tf

    data: bytes = tf.make_tensor_proto(values).SerializeToString()
    return data


def put(directory: Path, data: bytes) -> None:
    """Put a file of requests where TensorFlow Serving reads it."""
    extra = directory / "assets.extra"
    extra.mkdir(exist_ok=True)
    (extra / "tf_serving_warmup_requests").write_bytes(data)
