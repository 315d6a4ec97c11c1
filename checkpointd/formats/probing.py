"""The daemon's look at a candidate: at most 4 KiB of each member, no format is read whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.checkpoint import Format
from checkpointd.formats import hdf5, keras, savedmodel, sharded, tf_checkpoint
from checkpointd.formats.facts import (
    TRUNCATED,
    FormatError,
    Probe,
    incomplete,
    unknown,
)
from checkpointd.formats.storage import LOCAL
from checkpointd.formats.zipfiles import EMPTY_SIGNATURE, LOCAL_SIGNATURE

if TYPE_CHECKING:
    from checkpointd.formats.facts import Found
    from checkpointd.formats.storage import Storage


def probe(found: Found, storage: Storage = LOCAL) -> Probe:
    """Say whether a candidate is a checkpoint and whether it is whole.

    A file without any magic whose name promises a format is incomplete: writers truncate first
    and write the beginning late. Without such a name it is unknown, after one small read.

    Raises:
        OSError: it cannot be read; FileNotFoundError when it went away meanwhile.
    """
    if found.hint is Format.SAVEDMODEL:
        return savedmodel.probe(found, storage)
    if found.hint is Format.TF_CHECKPOINT:
        return tf_checkpoint.probe(found, storage)
    if found.path.endswith(sharded.EXTENSION):
        return sharded.probe(found, storage)
    return _probe_file(found.path, found.hint, found.generation.size_bytes, storage)


def _probe_file(path: str, hint: Format, size: int, storage: Storage) -> Probe:
    head = storage.pread(path, 0, hdf5.SUPERBLOCK_BYTES) if size else b""
    archive = head.startswith((LOCAL_SIGNATURE, EMPTY_SIGNATURE))
    if archive or (hint is Format.KERAS and keras.is_prefixed(path, size, storage)):
        return keras.probe_archive(path, hint, size, head, storage)
    if head.startswith(hdf5.SIGNATURE):
        return hdf5.probe_superblock(hint, 0, head, size)
    if hint is Format.UNKNOWN:
        return unknown(Format.UNKNOWN)
    if hint is not Format.KERAS:
        superblock = hdf5.find_superblock(path, size, head, storage)
        if superblock is not None:
            return hdf5.probe_superblock(hint, *superblock, size)
    begun = any(magic.startswith(head) for magic in (hdf5.SIGNATURE, LOCAL_SIGNATURE))
    if head.strip(b"\0") and not begun:
        return unknown(hint, "Its name promises a checkpoint, its content is something else.")
    return incomplete(hint, FormatError(TRUNCATED, _not_begun(size)))


def _not_begun(size: int) -> str:
    if size:
        return f"The file has {size} bytes, and its beginning is not written yet."
    return (
        "The file is empty: the writer has not begun, or was stopped right after it had opened it."
    )
