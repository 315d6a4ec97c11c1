"""The names of TensorFlow's element types, by their number in a proto.

Source: tensorflow/core/framework/types.proto. The names are numpy's and ml_dtypes'.
"""

from __future__ import annotations

_NAMES = {
    1: "float32",
    2: "float64",
    3: "int32",
    4: "uint8",
    5: "int16",
    6: "int8",
    7: "string",
    8: "complex64",
    9: "int64",
    10: "bool",
    11: "qint8",
    12: "quint8",
    13: "qint32",
    14: "bfloat16",
    15: "qint16",
    16: "quint16",
    17: "uint16",
    18: "complex128",
    19: "float16",
    20: "resource",
    21: "variant",
    22: "uint32",
    23: "uint64",
    24: "float8_e5m2",
    25: "float8_e4m3fn",
    26: "float8_e4m3fnuz",
    27: "float8_e4m3b11fnuz",
    28: "float8_e5m2fnuz",
    29: "int4",
    30: "uint4",
    31: "int2",
    32: "uint2",
    33: "float4_e2m1fn",
}
NEWEST = max(_NAMES)
"""The largest number that TensorFlow 2.21 has a type for."""

_REFERENCE = 100
FIRST_REFERENCE = _REFERENCE + 1
"""The number of the first reference type, which no stored tensor has."""


def dtype_name(number: int) -> str:
    """Name an element type; a reference type (TF 1) has its value's name."""
    if number > _REFERENCE:
        number -= _REFERENCE
    return _NAMES.get(number, f"dtype_{number}")
