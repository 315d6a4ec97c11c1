"""What a bundle's index may contain, checked before TensorFlow reads it.

TensorFlow 2.21 ends the whole process (SIGABRT) when the index of a bundle has an element type
that it does not know, a negative dimension, one too many, or a shape whose elements cannot be
counted in 63 bits: measured, every one of them. What else it refuses is refused here as well.
Sources: tensorflow/core/util/tensor_bundle/tensor_bundle.cc, core/framework/tensor_shape.cc.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from checkpointd.formats.dtypes import FIRST_REFERENCE, NEWEST
from checkpointd.formats.facts import ENVIRONMENT, MALFORMED, FormatError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.formats.bundle import BundleIndex, TensorEntry

SLICE_MARK, SLICE_END = "\0", "\0\x01"
"""What stands around the tensor's name in the name of a part of it."""

_MAX_RANK = 254
_END = 1 << 63
_CHECKSUM_BYTES = 4
_WHOLE = -1


def refused(index: BundleIndex) -> FormatError | None:
    """Explain why TensorFlow would not read a bundle with this index, or would end reading it.

    Whether the shards hold what the index names is another question.
    """
    if index.refused is not None:
        return index.refused
    newer = None
    whole = {entry.name: entry.dtype for entry in index.entries if entry.slices}
    for entry in index.entries:
        wrong = _wrong(entry) or _wrong_part(entry, whole)
        if wrong:
            return FormatError(MALFORMED, f"{entry.name}: the index gives it {wrong}.")
        if newer is None and entry.dtype.startswith("dtype_"):
            newer = FormatError(
                ENVIRONMENT,
                f"{entry.name}: its element type has the number {entry.dtype[6:]}, and TensorFlow "
                f"2.21 knows those up to {NEWEST}: a newer one may have written it.",
            )
    return newer


def _wrong(entry: TensorEntry) -> str:
    """What is wrong with an entry, as the end of a sentence; empty if nothing is."""
    if entry.dtype == "resource" or (entry.dtype.startswith("dtype_") and not _may_be_newer(entry)):
        return "an element type that no tensor has"
    wrong = _wrong_shape(entry.shape)
    if wrong or not entry.slices:
        return wrong or _wrong_place(entry)
    return next((wrong for s in entry.slices if (wrong := _wrong_slice(entry, s))), "")


def _wrong_part(entry: TensorEntry, whole: Mapping[str, str]) -> str:
    """What is wrong with a part of a tensor that was saved in pieces."""
    if not whole or not entry.name.startswith(SLICE_MARK):
        return ""
    name = entry.name[len(SLICE_MARK) :].partition(SLICE_END)[0]
    if whole.get(name, entry.dtype) != entry.dtype:
        return f"the type {entry.dtype}, and {whole[name]} to the tensor that it is a part of"
    return ""


def _may_be_newer(entry: TensorEntry) -> bool:
    return NEWEST < int(entry.dtype[6:]) < FIRST_REFERENCE


def _wrong_shape(shape: tuple[int, ...]) -> str:
    if len(shape) > _MAX_RANK:
        return f"{len(shape)} dimensions, {_MAX_RANK} are the most"
    if any(n < 0 for n in shape):
        return "a negative dimension"
    if math.prod(n for n in shape if n) >= _END:
        return "more elements than can be counted"
    return ""


def _wrong_place(entry: TensorEntry) -> str:
    if entry.offset >= _END or entry.size >= _END:
        return "a negative place or size"
    count = math.prod(entry.shape)
    least = {"string": count + _CHECKSUM_BYTES, "variant": count}.get(entry.dtype, 0)
    if count and entry.size < least:
        return f"{entry.size} bytes for {count} elements, which need {least} at the least"
    return ""


def _wrong_slice(entry: TensorEntry, extents: tuple[tuple[int, int], ...]) -> str:
    if len(extents) != len(entry.shape):
        return f"a part of {len(extents)} dimensions, and {len(entry.shape)} itself"
    for (start, length), size in zip(extents, entry.shape):
        whole = (start, length) == (0, _WHOLE)
        if not whole and (start < 0 or length < 0 or start + length > size):
            return "a part outside of it"
    return ""
