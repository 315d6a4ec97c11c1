"""What TensorFlow leaves of a save that was killed before any of its files had its name.

A tensor bundle is written to temporary files, for most writers in `PREFIX_temp/`, and renamed. Only
names that no other program uses count, and only while nothing else of the checkpoint is there: the
files of a copy (rsync, rclone) are none, since the next run of it goes on with them.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from checkpointd.formats import names
from checkpointd.formats.members import members_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from checkpointd.core.checkpoint import Member
    from checkpointd.formats.storage import Entry, Storage

_DIRECTORY = re.compile(r"(?s)(?P<prefix>.+)_temp(?:_[0-9a-f]{32})?")
_PART = re.compile(r"part-\d{5}-of-\d{5}\.(?:index|data-\d{5}-of-\d{5})(?:\.tempstate\d+)?")
_TEMPORARY = re.compile(r"(?s)(?P<file>.+)\.tempstate\d+")
_GRAPH = re.compile(r"saved_model\.pb(?:txt)?\.tmp[0-9a-f]{32}")
_LEFT = re.compile(r"(?s).*(?:\.tempstate\d+|\.tmp[0-9a-f]{32}|_temp(?:_[0-9a-f]{32})?/part-[^/]+)")
UNFINISHED = "The save is not finished: only its temporary files are there."
_LOCK = ".lockfile"
_VARIABLES = "variables"


def unfinished_bundles(
    directory: str, entries: Iterable[Entry], present: Collection[str], storage: Storage
) -> dict[str, dict[str, bool]]:
    """Find the prefixes of which a directory holds nothing but temporary files.

    Args:
        directory: its path.
        entries: what it holds.
        present: the prefixes of which it holds more.
        storage: where it is stored.

    Returns:
        By prefix, the names of the files as they follow it, and whether each is a link.
    """
    bundles: dict[str, dict[str, bool]] = {}
    listed = [entry for entry in entries if not entry.is_symlink]
    beside = {entry.name for entry in listed}
    for entry in listed:
        inside = _DIRECTORY.fullmatch(entry.name) if entry.is_dir else None
        temporary = _TEMPORARY.fullmatch(entry.name) if entry.is_file else None
        part = names.BUNDLE_PART.fullmatch(temporary["file"]) if temporary else None
        if inside and inside["prefix"] not in present:
            parts = _parts(os.path.join(directory, entry.name), storage)
            after = entry.name[len(inside["prefix"]) :]
            if parts:
                bundles.setdefault(inside["prefix"], {}).update(
                    {f"{after}/{name}": False for name in parts}
                )
        elif part and part["prefix"] not in present and _is_checkpoint(part["prefix"], beside):
            after = entry.name[len(part["prefix"]) :]
            bundles.setdefault(part["prefix"], {})[after] = False
    return bundles


def unfinished_savedmodel(path: str, storage: Storage) -> tuple[Member, ...]:
    """The temporary files of a SavedModel of which nothing else is there."""
    parts = {
        f"/{entry.name}": False
        for entry in _entries(path, storage)
        if entry.is_file and not entry.is_symlink and _GRAPH.fullmatch(entry.name)
    }
    inside = f"{path}/{_VARIABLES}"
    bundles = unfinished_bundles(inside, _entries(inside, storage), (), storage)
    for after in bundles.get(_VARIABLES, ()):
        parts[f"/{_VARIABLES}/{_VARIABLES}{after}"] = False
    return members_of(path, parts, storage)


def is_part_of_one_beside(directory: str) -> bool:
    """Whether a directory of this name may hold files of a checkpoint in the directory above."""
    return directory == _VARIABLES or _DIRECTORY.fullmatch(directory) is not None


def is_unfinished(members: Iterable[str]) -> bool:
    """Whether the members of a bundle or a SavedModel, by their names, are temporary files."""
    return all(_LEFT.fullmatch(member) for member in members)


def _is_checkpoint(prefix: str, beside: Collection[str]) -> bool:
    """Whether a bundle that is written in place is a checkpoint: a tf.data cache is none."""
    return bool(names.CALLED_SO.search(prefix)) and prefix + _LOCK not in beside


def _parts(directory: str, storage: Storage) -> list[str]:
    return [
        entry.name
        for entry in _entries(directory, storage)
        if entry.is_file and not entry.is_symlink and _PART.fullmatch(entry.name)
    ]


def _entries(directory: str, storage: Storage) -> list[Entry]:
    try:
        return storage.scandir(directory)
    except OSError:
        return []
