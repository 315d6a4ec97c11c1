"""Entries of a bundle's index that TensorFlow does not survive, and ordinary ones."""

from __future__ import annotations

from tests.helpers.bundles import header
from tests.helpers.protobuf import field

FLOAT, STRING, RESOURCE, VARIANT = 1, 7, 20, 21
HEADER = header()


def entry(
    *dims: int, dtype: int = FLOAT, size: int = 16, offset: int = 0, slices: bytes = b""
) -> bytes:
    """Encode a BundleEntryProto."""
    shape = field(2, b"".join(field(2, field(1, d)) for d in dims))
    return field(1, dtype) + shape + field(4, offset) + field(5, size) + slices


def part(*extents: tuple[int, int | None]) -> bytes:
    """Encode a slice; a length of None is the whole of a dimension."""
    encoded = (field(1, s) + (b"" if n is None else field(2, n)) for s, n in extents)
    return field(7, b"".join(field(1, e) for e in encoded))


HOSTILE = (
    (entry(-4), "a negative dimension"),
    (entry(-2, -2), "a negative dimension"),
    (entry(1 << 40, 1 << 40), "more elements than can be counted"),
    (entry(1 << 62, 4, 0, size=0), "more elements than can be counted"),
    (entry(*[1] * 255, size=4), "255 dimensions"),
    (entry(4, dtype=0), "an element type"),
    (entry(4, dtype=50), "number 50"),
    (entry(4, dtype=-1), "an element type"),
    (entry(4, dtype=101), "an element type"),
    (entry(4, dtype=RESOURCE), "an element type"),
    (entry(4, offset=-8), "a negative place"),
    (entry(4, size=-16), "a negative place"),
    (entry(1 << 34, dtype=STRING), "16 bytes for 17179869184 elements"),
    (entry(64, dtype=VARIANT), "16 bytes for 64 elements"),
    (entry(4, slices=part((3, 4))), "a part outside"),
    (entry(4, slices=part((-3, 4))), "a part outside"),
    (entry(4, slices=part((0, 2)) + part((0, -5))), "a part outside"),
    (entry(4, slices=part((0, 2), (0, 2))), "a part of 2 dimensions"),
    (entry(-4, slices=part((0, 2))), "a negative dimension"),
    (entry(4, dtype=50, slices=part((0, None))), "number 50"),
)
"""What TensorFlow 2.21 aborts on, or refuses, with a part of the sentence about it."""

ORDINARY = (
    entry(4),
    entry(size=4),
    entry(0, 7, size=0),
    entry(*[1] * 254, size=4),
    entry(12, dtype=STRING),
    entry(0, dtype=STRING, size=0),
    entry(4, 6, slices=part((0, 2), (0, None)) + part((2, 2), (0, 6))),
    entry(size=4, slices=part()),
)
"""Scalars, tensors of nothing, of strings and in parts."""
