"""What Keras 3 saves with `zipped=False`: the members of a `.keras` archive as files.

Source: keras/src/saving/saving_lib.py (`_save_model_to_dir`, `_load_model_from_dir`). It writes
`metadata.json`, then `config.json`, then the weights, which it closes last, and `assets/`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.core.format_specs import Format
from checkpointd.formats import bounded_json, content, hdf5, zipfiles
from checkpointd.formats.facts import (
    MALFORMED,
    MISSING_MEMBER,
    NOT_A_CHECKPOINT,
    TRUNCATED,
    FormatError,
    Probe,
    complete,
    incomplete,
)
from checkpointd.formats.names import KERAS_CONFIG, KERAS_METADATA, KERAS_WEIGHTS
from checkpointd.formats.storage import LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from checkpointd.core.checkpoint import Generation, Member
    from checkpointd.formats.facts import Candidate
    from checkpointd.formats.storage import Storage

ZIPPED = ".keras"
"""Keras takes every path with this ending for an archive."""

_TAIL_BYTES = 16
_ZIP_TAIL_BYTES = 1024


def is_one(generation: Generation) -> bool:
    """Whether a checkpoint of Keras's is a directory."""
    return any(member.name for member in generation.members)


def probe(candidate: Candidate, storage: Storage = LOCAL) -> Probe:
    """Return whether such a directory is whole; it never is for certain.

    Raises:
        OSError: it cannot be read.
    """
    members = {member.name.lstrip("/"): member for member in candidate.generation.members}
    try:
        _check(candidate.path, members, storage)
    except FormatError as error:
        return incomplete(Format.KERAS, error)
    return complete(Format.KERAS)


def weights_of(names: Iterable[str]) -> str:
    """The file of weights that Keras reads; empty if there is none."""
    present = set(names)
    return next((name for name in KERAS_WEIGHTS if name in present), "")


def read_json(path: str, name: str, storage: Storage = LOCAL) -> Mapping[str, Any]:
    """Read the configuration or the metadata of a directory.

    Raises:
        FormatError: it is not there, or is no JSON object.
        OSError: it cannot be read.
    """
    file = f"{path}/{name}"
    try:
        size = storage.stat(file).size
    except FileNotFoundError:
        raise FormatError(MISSING_MEMBER, f"{name} is not there.") from None
    if size > bounded_json.MAX_BYTES:
        raise FormatError(MALFORMED, f"{name} has {size} bytes, more than any configuration.")
    value = bounded_json.parse(storage.pread(file, 0, size), name)
    if not isinstance(value, dict):
        raise FormatError(MALFORMED, f"{name} is no JSON object.")
    return value


def _check(path: str, members: Mapping[str, Member], storage: Storage) -> None:
    if path.lower().endswith(ZIPPED):
        raise FormatError(
            NOT_A_CHECKPOINT,
            "It is a directory with an unpacked model, and Keras takes a name that ends in .keras "
            "for a zip archive: rename the directory, or zip what is in it.",
        )
    weights = weights_of(members)
    for name in (KERAS_METADATA, KERAS_CONFIG):
        if name not in members:
            raise FormatError(MISSING_MEMBER, f"{name} is not there.")
        _check_json(path, name, members[name].size, storage)
    if not weights:
        raise FormatError(
            MISSING_MEMBER, f"{KERAS_WEIGHTS[0]} is not there: it is written after config.json."
        )
    size = members[weights].size
    try:
        if weights.endswith(".npz"):
            _check_zip(f"{path}/{weights}", size, storage)
        else:
            _check_hdf5(f"{path}/{weights}", size, storage)
    except FormatError as error:
        instead = content.of_file(f"{path}/{weights}", storage)
        raise (content.not_a_checkpoint(weights, instead) if instead.stand_in else error) from None


def _check_json(path: str, name: str, size: int, storage: Storage) -> None:
    file = f"{path}/{name}"
    if storage.pread(file, max(0, size - _TAIL_BYTES), _TAIL_BYTES).rstrip().endswith(b"}"):
        return
    instead = content.of_file(file, storage)
    if instead.stand_in:
        raise content.not_a_checkpoint(name, instead)
    raise FormatError(TRUNCATED, f"{name} is cut short: it has {size} bytes and no end.")


def _check_hdf5(path: str, size: int, storage: Storage) -> None:
    head = storage.pread(path, 0, hdf5.SUPERBLOCK_BYTES)
    if not head.startswith(hdf5.SIGNATURE):
        raise FormatError(TRUNCATED, "model.weights.h5 has no beginning of an HDF5 file.")
    try:
        hdf5.check_size(0, head, size)
    except FormatError as error:
        raise FormatError(error.word, f"model.weights.h5: {error.message}") from None


def _check_zip(path: str, size: int, storage: Storage) -> None:
    def read(offset: int, length: int) -> bytes:
        return storage.pread(path, offset, length)

    if zipfiles.find_directory(read, size, _ZIP_TAIL_BYTES) is None:
        raise FormatError(TRUNCATED, f"model.weights.npz has {size} bytes and no end.")
