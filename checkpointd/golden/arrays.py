"""Inputs and outputs of a model: arrays, ragged ones, strings; stored without pickle.

A ragged array is its flat values and the splits between its rows, outermost first, as in
TensorFlow (https://www.tensorflow.org/guide/ragged_tensor). numpy and the standard library only,
Python 3.9: `model_runner` makes tensors of them.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Union

import numpy as np

from checkpointd.core.report import Digest
from checkpointd.golden import backends

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TEXT_KINDS = "OSU"
"""numpy's kinds of arrays that hold strings."""

_FOREIGN = 2  # numpy's `dtype.isbuiltin` of a type that another library registered


class ArrayError(Exception):
    """A value that no golden record can hold; the message explains why and what to do."""


@dataclass(frozen=True, eq=False)
class Ragged:
    """Rows of different lengths: flat values, and the splits between rows, outermost first.

    `splits[0]` has one more entry than there are rows; each next one splits what the one before
    joined; the last one's end is the length of `values`.
    """

    values: np.ndarray[Any, Any]
    splits: tuple[np.ndarray[Any, Any], ...]

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The number of rows, None for each ragged dimension, and the values' own dimensions."""
        ragged: list[int | None] = [None] * len(self.splits)
        return (len(self.splits[0]) - 1, *ragged, *self.values.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the values."""
        kind: np.dtype[Any] = self.values.dtype
        return kind

    def __len__(self) -> int:
        return len(self.splits[0]) - 1

    @property
    def components(self) -> list[np.ndarray[Any, Any]]:
        """Values and splits, in the order in which a SavedModel's signature takes them."""
        return [self.values, *self.splits]


Array = Union["np.ndarray[Any, Any]", Ragged]


def digest_of(name: str, values: np.ndarray[Any, Any]) -> Digest:
    """Take the digest of one variable's values."""
    values = np.asarray(values)
    if values.dtype.byteorder == ">":
        values = values.astype(values.dtype.newbyteorder("<"))
    checksum = zlib.crc32(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
    return Digest(name, str(values.dtype), tuple(int(n) for n in values.shape), checksum)


def array_of(value: Any, name: str) -> Array:
    """Copy one value that a model takes or returns.

    Raises:
        ArrayError: it is sparse, or no array.
    """
    if hasattr(value, "nested_row_splits"):
        splits = tuple(np.array(part) for part in value.nested_row_splits)
        return Ragged(np.array(value.flat_values), splits)
    if isinstance(value, Ragged):
        return value
    if hasattr(value, "dense_shape"):
        raise ArrayError(f"{name!r} is sparse: give a dense or a ragged one (tf.sparse.to_dense).")
    try:
        return np.array(backends.numpy_of(value))
    except Exception as error:
        raise ArrayError(
            f"{name!r} is no array: {error}. Rows of different lengths are for tf.ragged.constant."
        ) from error


def mapped(function: Callable[[Any], Any], structure: Any) -> Any:
    """Apply a function to every value of a structure of dicts, lists and tuples."""
    if isinstance(structure, dict):
        return {name: mapped(function, item) for name, item in structure.items()}
    if isinstance(structure, (list, tuple)):
        return [mapped(function, item) for item in structure]
    return function(structure)


def leaves(structure: Any) -> Iterator[Any]:
    """Yield every value of a structure of dicts, lists and tuples."""
    if isinstance(structure, dict):
        structure = list(structure.values())
    if not isinstance(structure, (list, tuple)):
        yield structure
        return
    for item in structure:
        yield from leaves(item)


def needs_tensor(value: Any) -> bool:
    """Whether Keras's `predict` takes a value only as a tensor: strings and ragged arrays."""
    return isinstance(value, Ragged) or getattr(value, "dtype", np.dtype(bool)).kind in TEXT_KINDS


def flattened(value: Any) -> Any:
    """Outputs with one structure at the most, by names such as `state/0`; others as they are."""
    if hasattr(value, "items") and not hasattr(value, "shape"):
        parts = {str(name): item for name, item in value.items()}
    elif isinstance(value, (list, tuple)) and any(_is_structure(item) for item in value):
        parts = {str(number): item for number, item in enumerate(value)}
    else:
        return value
    if not any(_is_structure(item) for item in parts.values()):
        return value
    flat: dict[str, Any] = {}
    for name, item in parts.items():
        if not _is_structure(item):
            flat[name] = item
            continue
        inner = flattened(item)
        pairs = inner.items() if hasattr(inner, "items") else enumerate(inner)
        flat.update((f"{name}/{below}", leaf) for below, leaf in pairs)
    return flat


def _is_structure(value: Any) -> bool:
    if hasattr(value, "shape"):
        return False
    return hasattr(value, "items") or (
        isinstance(value, (list, tuple))
        and any(hasattr(item, "shape") or _is_structure(item) for item in value)
    )


def pack(
    arrays: dict[str, np.ndarray[Any, Any]], key: str, name: str, value: Any
) -> dict[str, Any]:
    """Put one value into `arrays` without pickle, and return the entry that describes it.

    Raises:
        ArrayError: it holds Python objects that are no strings.
    """
    if isinstance(value, Ragged):
        entry = pack(arrays, key, name, value.values)
        for number, split in enumerate(value.splits):
            arrays[f"{key}.splits{number}"] = split
        return {**entry, "splits": len(value.splits)}
    values = np.asarray(value)
    if values.dtype == object:
        return _pack_strings(arrays, key, name, values)
    if values.dtype.isbuiltin == _FOREIGN:  # float32 holds all values of ml_dtypes' floats
        values = values.astype(np.float32)
    arrays[key] = values
    return {"name": name, "key": key, "kind": "array"}


def _pack_strings(
    arrays: dict[str, np.ndarray[Any, Any]], key: str, name: str, values: np.ndarray[Any, Any]
) -> dict[str, Any]:
    items = values.reshape(-1).tolist()
    kind = "text" if all(isinstance(item, str) for item in items) else "bytes"
    try:
        data = [item.encode() if isinstance(item, str) else memoryview(item) for item in items]
    except TypeError:
        raise ArrayError(
            f"{name!r} holds Python objects that are no strings: give arrays of numbers, "
            "bytes or text."
        ) from None
    sizes = [len(item) for item in data]
    arrays[key + ".offsets"] = np.cumsum([0, *sizes], dtype=np.int64)
    arrays[key] = np.frombuffer(b"".join(data), np.uint8)
    return {"name": name, "key": key, "kind": kind, "shape": list(values.shape)}


def unpack(arrays: Mapping[str, np.ndarray[Any, Any]], entry: dict[str, Any]) -> Array:
    """Take out again what `pack` put in.

    Raises:
        ValueError: the splits of a ragged array do not fit its values.
        Exception: it is stored otherwise than the entry describes.
    """
    values = arrays[entry["key"]]
    if entry["kind"] != "array":
        offsets = arrays[entry["key"] + ".offsets"].tolist()
        data = values.tobytes()
        items: list[Any] = [data[a:b] for a, b in zip(offsets, offsets[1:])]
        if entry["kind"] == "text":
            items = [item.decode() for item in items]
        unpacked = np.empty(len(items), object)
        unpacked[:] = items
        values = unpacked.reshape(entry["shape"])
    count = int(entry.get("splits", 0))
    if not count:
        return values
    splits = tuple(arrays[f"{entry['key']}.splits{number}"] for number in range(count))
    _check_splits(splits, len(values))
    return Ragged(values, splits)


def _check_splits(splits: tuple[np.ndarray[Any, Any], ...], rows: int) -> None:
    """TensorFlow trusts splits, and reads beyond the values where they are wrong."""
    for split, below in zip(splits, (*(len(s) - 1 for s in splits[1:]), rows)):
        fits = split.ndim == 1 and split.dtype.kind == "i" and len(split) > 0
        if not fits or split[0] != 0 or split[-1] != below or bool((np.diff(split) < 0).any()):
            raise ValueError("the rows of a ragged array do not fit its values")
