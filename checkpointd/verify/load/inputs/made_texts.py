"""Strings that a model can read: encoded images and sounds, a tf.Example, numbers, words."""

from __future__ import annotations

import base64
import io
import json
import struct
import wave
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd.golden.arrays import TEXT_KINDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.verify.load.inputs.limits import ExampleFeature, InputLimits

WORDS = b"the quick brown fox"
_SIDE = 96
_RATE = 16000
_ENCODED = ("image", "jpeg", "gif", "bmp", "wav", "number", "csv", "tensor", "raw", "example")


def text_for(
    limits: InputLimits, fill: Callable[[ExampleFeature], Any], *, plain: bytes = WORDS
) -> bytes:
    """Make a string for one input.

    Args:
        limits: what the graph asks of it.
        fill: makes the values of a feature.
        plain: the text where the graph requires nothing.
    """
    kind = next((kind for kind in _ENCODED if kind in limits.kinds), "")
    if kind:
        made = _encoded(kind, limits, fill)
    elif limits.words and isinstance(limits.words[0], bytes):
        made = limits.words[0]
    else:
        made = plain
    return base64.urlsafe_b64encode(made).rstrip(b"=") if "base64" in limits.kinds else made


def _encoded(kind: str, limits: InputLimits, fill: Callable[[ExampleFeature], Any]) -> bytes:
    if kind == "example":
        return example(limits, fill)
    if kind == "csv":
        return b",".join([b"1"] * limits.columns)
    if kind in ("raw", "tensor"):
        return _tensor(limits.dtype, serialized=kind == "tensor")
    plain: dict[str, Callable[[], bytes]] = {
        "jpeg": _jpeg,
        "bmp": _bmp,
        "wav": _wav,
        "number": lambda: b"1",
    }
    return plain.get(kind, png)()


def example(limits: InputLimits, fill: Callable[[ExampleFeature], Any]) -> bytes:
    """Serialise a tf.Example with every feature that is parsed out of it, as JSON if asked."""
    values = {feature.name: np.ravel(fill(feature)) for feature in limits.features}
    if "json" in limits.kinds:
        feature = {name: _json(array) for name, array in values.items()}
        return json.dumps({"features": {"feature": feature}}).encode()
    import tensorflow as tf

    train = tf.train
    features = {}
    for name, array in values.items():
        kind = array.dtype.kind
        if kind in TEXT_KINDS:
            held = train.Feature(bytes_list=train.BytesList(value=list(array)))
        elif kind == "f":
            held = train.Feature(float_list=train.FloatList(value=array))
        else:
            held = train.Feature(int64_list=train.Int64List(value=array))
        features[name] = held
    return bytes(train.Example(features=train.Features(feature=features)).SerializeToString())


def _json(array: Any) -> dict[str, Any]:
    if array.dtype.kind in TEXT_KINDS:
        return {"bytesList": {"value": [base64.b64encode(text).decode() for text in array]}}
    if array.dtype.kind == "f":
        return {"floatList": {"value": array.tolist()}}
    return {"int64List": {"value": [str(int(n)) for n in array]}}


def png() -> bytes:
    """Encode a small colour image."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)

    row = b"\0" + bytes(range(_SIDE)) * 3
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(row * _SIDE))
        + chunk(b"IEND", b"")
    )


def _jpeg() -> bytes:
    import tensorflow as tf

    pixels = np.tile(np.arange(_SIDE, dtype=np.uint8)[:, None, None], (1, _SIDE, 3))
    return bytes(tf.io.encode_jpeg(pixels).numpy())


def _bmp() -> bytes:
    pixels = bytes(range(_SIDE)) * 3 * _SIDE
    head = struct.pack("<IiiHHIIiiII", 40, _SIDE, _SIDE, 1, 24, 0, len(pixels), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54) + head + pixels


def _wav() -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(_RATE)
        sound.writeframes(np.arange(_RATE, dtype="<i2").tobytes())
    return target.getvalue()


def _tensor(dtype: str, *, serialized: bool) -> bytes:
    import tensorflow as tf

    if serialized:
        return bytes(tf.io.serialize_tensor(tf.ones([1], dtype)).numpy())
    return np.ones(_SIDE, tf.dtypes.as_dtype(dtype).as_numpy_dtype).tobytes()
