"""Reads the values of single tensors, for those who compare two of them: in blocks, in order.

`reading.read` is the one pass over all bytes; here a plan's tensors are read again, one at a time.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from checkpointd.formats import member_path
from checkpointd.formats.tf_checkpoint import shard_path
from checkpointd.tensors import hdf5, hdf5_tree, keras_zip
from checkpointd.tensors.bundle_tallies import value_width
from checkpointd.tensors.source import Source, opened
from checkpointd.tensors.stream import BLOCK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.tensors import TensorSpec
    from checkpointd.tensors.reading import ReadPlan
    from checkpointd.tensors.statistics import Array


class ValueReader:
    """Reads tensors of a plan by their number in `planned.specs`; files stay open until `close`.

    Args:
        planned: what is where.
    """

    def __init__(self, planned: ReadPlan) -> None:
        self._planned = planned
        self._files = contextlib.ExitStack()
        self._sources: dict[str, Source] = {}
        self._handles: dict[int, Any] = {}
        self._places: list[tuple[str, Any, Any]] = [
            *(("bundle", part, item) for _, part in planned.bundles for item in part.stored),
            *(
                (member_path(planned.path, name), None, dataset)
                for name, file in planned.files
                for dataset in file.layout.datasets
            ),
            *(
                ("archive", inside, dataset)
                for inside in (planned.archive.inside if planned.archive else ())
                for dataset in inside.layout.datasets
            ),
        ]

    def close(self) -> None:
        """Close the files."""
        self._files.close()

    def blocks(self, number: int) -> Iterator[Array]:
        """Yield the bytes of a tensor, little-endian in C order, as arrays of uint8.

        Each is only valid until the next. Strings come as they are stored.

        Raises:
            OSError: it could not be read.
        """
        kind, holder, item = self._places[number]
        if kind == "bundle":
            entry, index = item.entry, holder.index
            path = shard_path(holder.prefix, entry.shard, index.num_shards)
            width = value_width(item.spec.dtype) if index.big_endian else 1
            for block in _pieces(self._source(path), entry.offset, entry.size):
                yield block if width == 1 else block.reshape(-1, width)[:, ::-1].reshape(-1)
            return
        if kind == "archive":
            where = holder.unpacked or self._source(self._planned.path)
            if item.offset is not None:
                yield from _pieces(where, holder.base + item.offset, item.spec.size_bytes)
                return
            window = keras_zip.window_of(where, holder.member, holder.unpacked)
            yield from self._slabs(id(holder), window, item.spec)
            return
        if item.offset is not None:
            yield from _pieces(self._source(kind), item.offset, item.spec.size_bytes)
            return
        yield from self._slabs(hash(kind), kind, item.spec)

    def _source(self, path: str) -> Source:
        if path not in self._sources:
            self._sources[path] = self._files.enter_context(opened(path))
        return self._sources[path]

    def _slabs(self, key: int, where: Any, spec: TensorSpec) -> Iterator[Array]:
        if key not in self._handles:
            self._handles[key] = self._files.enter_context(hdf5.open_hdf5(where))
        dataset = hdf5_tree.open_dataset(self._handles[key], spec.key)
        plain = dataset.dtype.newbyteorder("<")
        if plain.kind == "O" or dataset.shape is None:
            return
        for index in hdf5.slabs(spec.shape, max(1, plain.itemsize), BLOCK):
            values = hdf5.guarded(lambda index=index: dataset[index])  # type: ignore[misc]
            yield np.ascontiguousarray(values, dtype=plain).reshape(-1).view(np.uint8)


def _pieces(source: Source, offset: int, size: int) -> Iterator[Array]:
    buffer = np.empty(min(BLOCK, size), np.uint8)
    for start in range(0, size, BLOCK):
        window = buffer[: min(BLOCK, size - start)]
        source.read_into(window, offset + start)
        yield window
