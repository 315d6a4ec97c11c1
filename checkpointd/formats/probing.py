"""The daemon's look at a candidate: at most 4 KiB of each member, no format is read whole."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from checkpointd.core.checkpoint import Format
from checkpointd.formats import (
    content,
    hdf5,
    keras,
    keras_directory,
    old_format,
    savedmodel,
    sharded,
    tf_checkpoint,
)
from checkpointd.formats.facts import (
    NOT_A_CHECKPOINT,
    TRUNCATED,
    FormatError,
    Probe,
    complete,
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

    A file whose name promises a format and that has none of its marks is incomplete: writers
    truncate first and write the beginning late. What it is instead is the message, if it holds
    anything. Without such a name it is unknown, after one or two small reads.

    Raises:
        OSError: it cannot be read; FileNotFoundError when it went away meanwhile.
    """
    if found.hint is Format.SAVEDMODEL:
        return savedmodel.probe(found, storage)
    if found.hint is Format.TF_CHECKPOINT:
        if old_format.is_alone(found.generation):
            return complete(Format.TF_CHECKPOINT)
        return tf_checkpoint.probe(found, storage)
    if found.hint is Format.KERAS and keras_directory.is_one(found.generation):
        return keras_directory.probe(found, storage)
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
        old = old_format.is_one(path, size, storage)
        return complete(Format.TF_CHECKPOINT) if old else unknown(Format.UNKNOWN)
    superblock = None
    if hint is not Format.KERAS:
        superblock = hdf5.find_superblock(path, size, head, storage)
    if superblock is not None:
        return hdf5.probe_superblock(hint, *superblock, size)
    return _probe_other(path, hint, size, storage)


def _probe_other(path: str, hint: Format, size: int, storage: Storage) -> Probe:
    """Say what a file is that has none of the marks that its name promises."""
    head = storage.pread(path, 0, content.HEAD_BYTES) if size else b""
    begun = any(magic.startswith(head) for magic in (hdf5.SIGNATURE, LOCAL_SIGNATURE))
    if begun or not head.strip(b"\0"):
        return incomplete(hint, FormatError(TRUNCATED, _not_begun(size, len(head))))
    if head.startswith(content.APPLE_DOUBLE) and os.path.basename(path).startswith("._"):
        return unknown(hint, f"It is {content.of(head).what}.")
    return incomplete(hint, _something_else(hint, head))


def _not_begun(size: int, looked_at: int) -> str:
    if not size:
        return (
            "The file is empty: the writer has not begun, or was stopped right after it had opened "
            "it."
        )
    if size > looked_at or looked_at > len(hdf5.SIGNATURE):
        return (
            f"The file has {size} bytes, and the first {looked_at} are zero: its beginning is not "
            "written yet, or a crash of the machine lost it."
        )
    return f"The file has {size} bytes, and its beginning is not written yet."


def _something_else(hint: Format, head: bytes) -> FormatError:
    found = content.of(head)
    if found.what:
        return content.instead("It", found)
    wanted, magic = ("zip archive", b"PK") if hint is Format.KERAS else ("HDF5 file", b"\x89HDF")
    return FormatError(
        NOT_A_CHECKPOINT,
        f"It is no {wanted}: that begins with {magic!r}, this with {head[:8]!r}. Its beginning was "
        "written over, or it is another file.",
    )
