"""Probes of the formats whose checkpoint can be one file: `.keras`, HDF5, and V1 of TensorFlow.

What a file is, is decided by how it begins: its name only promises something.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format
from checkpointd.formats import content, hdf5, keras, keras_directory, sharded, tf1_format
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
    from checkpointd.formats.facts import Candidate
    from checkpointd.formats.storage import Storage


def probe_keras(candidate: Candidate, storage: Storage = LOCAL) -> Probe:
    """Probe what is named `.keras`, or a directory that Keras saved with `zipped=False`.

    Raises:
        OSError: it cannot be read.
    """
    if keras_directory.is_one(candidate.generation):
        return keras_directory.probe(candidate, storage)
    return _probe_file(candidate.path, candidate.hint, candidate.generation.size_bytes, storage)


def probe_hdf5(candidate: Candidate, storage: Storage = LOCAL) -> Probe:
    """Probe what is named as HDF5, or a map of sharded weights.

    Raises:
        OSError: it cannot be read.
    """
    if candidate.path.endswith(sharded.EXTENSION):
        return sharded.probe(candidate, storage)
    return _probe_file(candidate.path, candidate.hint, candidate.generation.size_bytes, storage)


def probe_unnamed(candidate: Candidate, storage: Storage = LOCAL) -> Probe:
    """Probe a file whose name promises nothing and that begins like no known format.

    Raises:
        OSError: it cannot be read.
    """
    old = tf1_format.is_one(candidate.path, candidate.generation.size_bytes, storage)
    return complete(Format.TF_CHECKPOINT) if old else unknown(Format.UNKNOWN)


def _probe_file(path: str, hint: Format, size: int, storage: Storage) -> Probe:
    head = storage.pread(path, 0, hdf5.SUPERBLOCK_BYTES) if size else b""
    archive = head.startswith((LOCAL_SIGNATURE, EMPTY_SIGNATURE))
    if archive or (hint is Format.KERAS and keras.is_prefixed(path, size, storage)):
        return keras.probe_archive(path, hint, size, head, storage)
    if head.startswith(hdf5.SIGNATURE):
        return hdf5.probe_superblock(hint, 0, head, size)
    superblock = None
    if hint is not Format.KERAS:
        superblock = hdf5.find_superblock(path, size, head, storage)
    if superblock is not None:
        return hdf5.probe_superblock(hint, *superblock, size)
    return _probe_other(path, hint, size, storage)


def _probe_other(path: str, hint: Format, size: int, storage: Storage) -> Probe:
    """Find out what a file is that has none of the marks that its name promises."""
    head = storage.pread(path, 0, content.HEAD_BYTES) if size else b""
    begun = any(magic.startswith(head) for magic in (hdf5.SIGNATURE, LOCAL_SIGNATURE))
    if begun or not head.strip(b"\0"):
        return incomplete(hint, FormatError(TRUNCATED, _not_begun(size, len(head))))
    if head.startswith(content.APPLE_DOUBLE) and os.path.basename(path).startswith("._"):
        return unknown(hint, f"It is {content.of(head).description}.")
    return incomplete(hint, _something_else(path, hint, head))


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


def _something_else(path: str, hint: Format, head: bytes) -> FormatError:
    instead = content.of(head, path)
    if instead.description:
        return content.not_a_checkpoint("It", instead)
    begins = "this does not" if os.path.islink(path) else f"this with {head[:8]!r}"
    wanted, magic = ("zip archive", b"PK") if hint is Format.KERAS else ("HDF5 file", b"\x89HDF")
    return FormatError(
        NOT_A_CHECKPOINT,
        f"It is no {wanted}: that begins with {magic!r}, {begins}. Its beginning was "
        "written over, or it is another file.",
    )
