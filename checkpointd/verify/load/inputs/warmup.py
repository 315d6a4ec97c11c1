"""TensorFlow Serving's warm-up requests: inputs that the writer of a SavedModel recorded.

`assets.extra/tf_serving_warmup_requests` is a TFRecord file of `PredictionLog` messages; TensorFlow
Serving runs each of them before it serves, and refuses a model that fails on one. Sources:
tensorflow_serving/apis/{prediction_log,predict,model}.proto, saved_model_warmup_util.cc,
tensorflow/core/lib/io/record_reader.cc. Everything read is bounded: the file is not trusted.
"""

from __future__ import annotations

import math
import os
import stat
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from checkpointd.formats import FormatError
from checkpointd.formats.protobuf import map_entry, messages, tensor_shape, text
from checkpointd.formats.savedmodel import WARMUP_REQUESTS
from checkpointd.formats.table import unmask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_PREDICT_LOG, _REQUEST, _MODEL_SPEC, _INPUTS, _SIGNATURE_NAME = 6, 1, 1, 2, 3
_SHAPE = 2
_DEFAULT = "serving_default"
_MOST_RECORDS = 1000  # TensorFlow Serving's own bound
_MOST_BYTES = 16 << 20
_MOST_VALUES = 4 << 20
_MOST_A_SIGNATURE = 8
_HEADER = struct.Struct("<QI")
_FOOTER = struct.Struct("<I")
_TABLE: list[int] = []


@dataclass
class Warmup:
    """What the file holds: inputs by signature and name, and in `notes` what is wrong with it."""

    requests: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read(directory: str) -> Warmup:
    """Read the warm-up requests of a SavedModel; without any, what is returned is empty.

    Of each signature the first few are kept. What is wrong with the file is reported in a note, and
    what stands before it is used.
    """
    warmup = Warmup()
    path = directory + WARMUP_REQUESTS
    try:
        data, size = _beginning(path)
    except FileNotFoundError:
        return warmup
    except OSError as error:
        warmup.notes.append(f"Its warm-up requests could not be read: {error.strerror or error}.")
        return warmup
    others = 0
    try:
        for record in records(data, whole=len(data) == size):
            request = _predict_request(record)
            if request is None:
                others += 1
            else:
                _keep(warmup, *request)
    except FormatError as error:
        warmup.notes.append(
            f"Its warm-up requests are damaged, and TensorFlow Serving would refuse the model: "
            f"{error.message}"
        )
    if others:
        warmup.notes.append(f"{others} warm-up requests are no predict requests, and were not run.")
    return warmup


def _beginning(path: str) -> tuple[bytes, int]:
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode):
        os.close(descriptor)
        return b"", 0
    with open(descriptor, "rb") as file:
        return file.read(_MOST_BYTES), facts.st_size


def records(data: bytes, *, whole: bool) -> Iterator[bytes]:
    """Yield the records of a TFRecord file: length, its checksum, content, its checksum.

    Args:
        data: the file, or its beginning.
        whole: it is the file; else a last record that goes beyond is left out.

    Raises:
        FormatError: it ends within a record, a checksum does not hold, or there are too many.
    """
    at = count = 0
    while at < len(data):
        if at + _HEADER.size > len(data):
            if whole:
                raise FormatError("truncated", f"the file ends within record {count + 1}.")
            return
        length, stored = _HEADER.unpack_from(data, at)
        if crc32c(data[at : at + 8]) != unmask(stored):
            raise FormatError("malformed", f"record {count + 1} has no TFRecord header.")
        start = at + _HEADER.size
        end = start + length
        if end + _FOOTER.size > len(data):
            if whole:
                raise FormatError("truncated", f"the file ends within record {count + 1}.")
            return
        record = data[start:end]
        if crc32c(record) != unmask(_FOOTER.unpack_from(data, end)[0]):
            raise FormatError("malformed", f"the checksum of record {count + 1} does not hold.")
        count += 1
        if count > _MOST_RECORDS:
            raise FormatError("malformed", f"there are more than {_MOST_RECORDS} of them.")
        yield record
        at = end + _FOOTER.size


def crc32c(data: bytes) -> int:
    """Compute a CRC-32C, slowly where google-crc32c is not installed."""
    try:
        import google_crc32c
    except ImportError:
        return _crc32c_by_table(data)
    return int(google_crc32c.value(data))


def _crc32c_by_table(data: bytes) -> int:
    if not _TABLE:
        for byte in range(256):
            value = byte
            for _ in range(8):
                value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
            _TABLE.append(value)
    value = 0xFFFFFFFF
    for byte in data:
        value = value >> 8 ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def _predict_request(record: bytes) -> tuple[str, dict[str, bytes]] | None:
    """Read a PredictionLog: its signature and TensorProtos by name; None for another kind."""
    log = _last(record, _PREDICT_LOG)
    if log is None:
        return None
    request = _last(log, _REQUEST) or b""
    model = _last(request, _MODEL_SPEC) or b""
    name = _last(model, _SIGNATURE_NAME)
    inputs = dict(map_entry(entry) for entry in messages(request, _INPUTS))
    return (text(name) if name else _DEFAULT), inputs


def _last(data: bytes, wanted: int) -> bytes | None:
    """The last field of a number, as protobuf has it, which must be a message or a string."""
    values = list(messages(data, wanted))
    return values[-1] if values else None


def _keep(warmup: Warmup, name: str, inputs: Mapping[str, bytes]) -> None:
    kept = warmup.requests.setdefault(name, [])
    if len(kept) < _MOST_A_SIGNATURE:
        kept.append({key: _array(key, proto) for key, proto in inputs.items()})


def _array(key: str, proto: bytes) -> Any:
    """Decode a TensorProto, whose shape may claim anything.

    Raises:
        FormatError: it is too large, or no TensorProto.
    """
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    dims = list(tensor_shape(_last(proto, _SHAPE) or b""))
    if any(dim < 0 for dim in dims) or math.prod(dims) > _MOST_VALUES:
        raise FormatError("malformed", f"the input {key!r} has the shape {dims}.")
    try:
        return tf.make_ndarray(tensor_pb2.TensorProto.FromString(proto))
    except Exception as error:
        raise FormatError("malformed", f"the input {key!r} is no tensor: {error}.") from error
