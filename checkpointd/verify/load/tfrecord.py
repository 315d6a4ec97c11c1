"""Arrays from a TFRecord file of `tf.train.Example`, each feature a dense tensor of one shape.

The file may be compressed with gzip or zlib, which its first bytes tell. Records are parsed a few
at a time by `tf.io.parse_example`; what is wrong with one is then searched in it, so that the
sentence names the record, the feature and the key of the config.
Format: tensorflow/core/lib/io/record_writer.h, tensorflow/core/example/example.proto.
"""

from __future__ import annotations

import os
import re
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd.core.verify_settings import Feature, parse_feature

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_AT_ONCE = 64
_NAMES = 10
_NOISE = re.compile(r"^\{\{.*?\}\} | \[Op:.*$", re.DOTALL)
_GZIP = b"\x1f\x8b"
_DEFLATE = 0x78
_EITHER = zlib.MAX_WBITS | 32
_CHUNK = 1 << 16
_KINDS = {"float32": "float_list", "int64": "int64_list", "string": "bytes_list"}


class UnreadableDatasetError(Exception):
    """The file cannot be read as configured; the clause explains why, and which key to correct."""


def arrays(path: str, features: Mapping[str, str]) -> dict[str, Any]:
    """Read every record of a file.

    Args:
        path: of the file.
        features: what `parse_feature` reads, by the names that the arrays shall have.

    Returns:
        An array `(records, *shape)` for each feature; that of a text holds bytes, as objects.

    Raises:
        UnreadableDatasetError: it is no TFRecord file, it is damaged or empty, or a record does
            not hold what was asked for.
        OSError: it cannot be opened.
        MemoryError: there is not enough of it.
    """
    import tensorflow as tf

    asked = {name: parse_feature(name, text) for name, text in features.items()}
    parts: dict[str, list[Any]] = {name: [] for name in asked}
    start = 0
    for records in _batches(tf, path):
        for name, part in _parsed(tf, records, start, asked).items():
            parts[name].append(part)
        start += len(records)
    if not start:
        raise UnreadableDatasetError("it holds no record: write examples into it, or correct data")
    return {name: np.concatenate(parts.pop(name)) for name in asked}


def _batches(tf: Any, path: str) -> Iterator[Any]:
    """Yield arrays of serialized records."""
    count = 0
    compression = _compression(tf, path)
    try:
        for batch in tf.data.TFRecordDataset(os.fsencode(path), compression).batch(_AT_ONCE):
            yield (records := batch.numpy())
            count += len(records)
    except tf.errors.DataLossError as error:
        raise UnreadableDatasetError(_loss(str(error.message), count)) from None
    except tf.errors.ResourceExhaustedError:
        raise MemoryError from None
    except tf.errors.OpError as error:
        cause = _NOISE.sub("", str(error.message))
        raise UnreadableDatasetError(f"it cannot be read ({cause})") from None
    if compression:
        _ask_for_its_end(path, compression, count)


def _ask_for_its_end(path: str, compression: str, count: int) -> None:
    """Look whether compressed data has its trailer, and was read up to its end.

    TensorFlow takes a file for whole if what a cut has left of it unpacks to whole records, and
    of several streams behind each other it reads all with GZIP, only the first with ZLIB.
    Format: RFC 1950 and 1952.

    Raises:
        UnreadableDatasetError: it has none, or another one, or something was not read; `count`
            records before that were whole.
    """
    stream = zlib.decompressobj(_EITHER)
    with open(path, "rb") as file:
        while packed := file.read(_CHUNK):
            while packed:
                if stream.eof and compression == "ZLIB":
                    raise UnreadableDatasetError(
                        f"something stands behind the end of its {count} compressed records, "
                        "which TensorFlow does not read: write all records into one file at "
                        "once, or with GZIP"
                    )
                if stream.eof:
                    stream = zlib.decompressobj(_EITHER)
                try:
                    stream.decompress(packed)
                except zlib.error as error:
                    raise UnreadableDatasetError(_loss(str(error), count)) from None
                packed = stream.unused_data
    if not stream.eof:
        raise UnreadableDatasetError(_loss("truncated", count))


def _compression(tf: Any, path: str) -> str:
    with open(path, "rb") as file:
        head = file.read(2)
    packed = ""
    if head == _GZIP:
        packed = "GZIP"
    elif len(head) == len(_GZIP) and head[0] == _DEFLATE and not int.from_bytes(head, "big") % 31:
        packed = "ZLIB"
    if not packed:
        return ""
    try:  # the length of a first record may have the same bytes, and has a checksum to check
        for _ in tf.data.TFRecordDataset(os.fsencode(path)).take(1):
            return ""
    except tf.errors.OpError:
        pass
    return packed


def _loss(message: str, count: int) -> str:
    """Explain how it is damaged; `count` records before that were whole."""
    if "truncated" in message:
        return (
            f"its end is missing, after {count} or more whole records: copy it again from where "
            "it was written"
        )
    if not count and "corrupted record at 0" in message:
        return "it is no TFRecord file: correct data, or leave features out for an .npz"
    cause = _NOISE.sub("", message)[:200]
    return (
        f"it is damaged after {count} or more whole records ({cause}): "
        "copy it again from where it was written"
    )


def _parsed(tf: Any, records: Any, start: int, features: Mapping[str, Feature]) -> dict[str, Any]:
    """Parse some records, of which the first is number `start`."""
    one_text = {
        name: tf.io.FixedLenFeature((), tf.string)
        if feature.raw
        else tf.io.FixedLenFeature(feature.shape, tf.as_dtype(feature.dtype))
        for name, feature in features.items()
    }
    # Two arrays may come from one feature, but not in the same call.
    try:
        parsed = {
            name: tf.io.parse_example(records, {features[name].key: how})[
                features[name].key
            ].numpy()
            for name, how in one_text.items()
        }
    except tf.errors.ResourceExhaustedError:
        raise MemoryError from None
    except (tf.errors.OpError, UnicodeDecodeError) as error:  # its message may quote the record
        _explain(tf, records, start, features)
        raise UnreadableDatasetError(
            f"its records cannot be parsed ({type(error).__name__})"
        ) from None
    return {
        name: _decoded(parsed[name], name, feature, start) if feature.raw else parsed[name]
        for name, feature in features.items()
    }


def _decoded(texts: Sequence[bytes], name: str, feature: Feature, start: int) -> Any:
    dtype = np.dtype(feature.dtype).newbyteorder("<")
    size = feature.size * dtype.itemsize
    for number, text in enumerate(texts, start):
        if len(text) != size:
            raise UnreadableDatasetError(
                f"{feature.key!r} of its record {number} is {len(text)} bytes long, and "
                f"{_text(feature)} is {size}: correct {_key(name)}"
            )
    whole = np.frombuffer(b"".join(texts), dtype).reshape(len(texts), *feature.shape)
    return whole.astype(feature.dtype)


def _explain(tf: Any, records: Any, start: int, features: Mapping[str, Feature]) -> None:
    """Find the first record that is not as was asked for.

    Raises:
        UnreadableDatasetError: it names the feature, and why.
    """
    for number, record in enumerate(records, start):
        try:
            there = tf.train.Example.FromString(record).features.feature
        except Exception:  # noqa: BLE001 - protobuf's own, whichever implementation there is
            raise UnreadableDatasetError(
                f"its record {number} is no tf.train.Example, which features needs: write a "
                "function for evaluate that reads it"
            ) from None
        for name, feature in features.items():
            if feature.key not in there:
                names = sorted(there)
                more = ", …" if len(names) > _NAMES else ""
                raise UnreadableDatasetError(
                    f"its record {number} has no feature {feature.key!r}, it has "
                    f"{', '.join(names[:_NAMES]) or 'none'}{more}: correct {_key(name)}, as in "
                    f'"{_text(feature)} from NAME"'
                )
            kind = there[feature.key].WhichOneof("kind")
            wanted = _KINDS["string" if feature.raw else feature.dtype]
            if kind != wanted:
                held = next((dtype for dtype, k in _KINDS.items() if k == kind), "nothing")
                raise UnreadableDatasetError(
                    f"{feature.key!r} of its record {number} holds {held}, not "
                    f"{_text(feature)}: correct {_key(name)}"
                )
            size = 1 if feature.raw else feature.size
            if len(getattr(there[feature.key], wanted).value) != size:
                raise UnreadableDatasetError(
                    f"{feature.key!r} of its record {number} holds "
                    f"{len(getattr(there[feature.key], wanted).value)} values, and "
                    f"{_text(feature)} has {size}: correct {_key(name)}"
                )


def _text(feature: Feature) -> str:
    shape = ",".join(map(str, feature.shape))
    return f"{'raw:' if feature.raw else ''}{feature.dtype}[{shape}]"


def _key(name: str) -> str:
    return f"{name} in features"
