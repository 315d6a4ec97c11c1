"""Which checkpoint a path typed by a user means."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format
from checkpointd.formats import names
from checkpointd.formats.directories import directory_around, format_of
from checkpointd.formats.facts import Candidate
from checkpointd.formats.recognise import SHARD, generation_of
from checkpointd.formats.storage import LOCAL

if TYPE_CHECKING:
    from checkpointd.formats.storage import Stat, Storage

_VARIABLES = ["variables", "variables"]
"""The end of the prefix of a SavedModel's bundle, which is no file's name."""


def locate(path: str, storage: Storage = LOCAL) -> Candidate | None:
    """Find out which checkpoint a path typed by a user means.

    It may be a file, a directory that is a checkpoint or a part of it, a prefix, `PREFIX.index`
    or a shard. A path that is only beside a checkpoint's parts means itself. The checkpoint's path
    is built from the one given: relative stays relative.

    Returns:
        The checkpoint, or None if the path names none.

    Raises:
        OSError: it cannot be looked at.
    """
    path = path.rstrip("/") or path
    seen = _look(path, storage)
    if seen is not None and seen.is_dir:
        format = format_of(path, storage.scandir(path), storage)
        if format is not None:
            return _of(path, format, storage)
    elif (seen is not None and seen.is_file) or path.split("/")[-2:] == _VARIABLES:
        around = directory_around(path, storage)
        if around is not None:
            return _of(*around, storage)
    if seen is None or seen.is_dir:
        return _of(path, Format.TF_CHECKPOINT, storage)
    return _file(path, storage) if seen.is_file else None


def _look(path: str, storage: Storage) -> Stat | None:
    try:
        return storage.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _of(path: str, hint: Format, storage: Storage) -> Candidate | None:
    try:
        return Candidate(path, hint, generation_of(path, hint, storage))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _file(path: str, storage: Storage) -> Candidate | None:
    """Take a file for itself, or for the checkpoint that it is a part of."""
    directory, name = os.path.split(path)
    part = names.BUNDLE_PART.fullmatch(name)
    if part:
        return _of(os.path.join(directory, part["prefix"]), Format.TF_CHECKPOINT, storage)
    shard = SHARD.fullmatch(name)
    if shard:
        whole = os.path.join(directory, shard["stem"] + names.WEIGHTS_MAP)
        if _look(whole, storage) is not None:
            return _of(whole, Format.HDF5_WEIGHTS, storage)
    return _of(path, names.hint_of(name), storage)
