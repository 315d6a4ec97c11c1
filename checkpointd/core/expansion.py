"""How large a checkpoint may become when it is unpacked."""

from __future__ import annotations

_MAX_RATIO = 100
_ALWAYS_ALLOWED = 256 << 20
"""Bytes that any checkpoint may hold, however small its files are.

Trained weights compress to 9/10, half of them zeros to 2/3, weights with moments of zeros to 1/3,
a model pruned to a hundredth to 1/20. The deflate algorithm reaches 1032, one stage on another a
million. Writers of TensorFlow and Keras compress nothing.
"""


def most_unpacked(stored: int) -> int:
    """Return the most bytes that a checkpoint of `stored` bytes on disk may hold unpacked."""
    return max(_ALWAYS_ALLOWED, _MAX_RATIO * stored)
