"""Temporary files of known writers that belong to a checkpoint: while they change, it is saved.

A copy that arrives under temporary names (rsync, rclone, gsutil) and TensorFlow's own writer leave
the members of a checkpoint alone while they work on what will become one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format, directory_specs
from checkpointd.formats import names
from checkpointd.formats.members import member_of
from checkpointd.formats.storage import LOCAL

if TYPE_CHECKING:
    from checkpointd.core.checkpoint import Member
    from checkpointd.formats.facts import Candidate
    from checkpointd.formats.storage import Entry, Storage

_MOST = 1000
"""This many names suffice to show whether anything changes."""

_BUNDLE_DIRECTORY = "_temp"


def temporaries(
    candidate: Candidate, storage: Storage = LOCAL, listed: dict[str, list[Entry]] | None = None
) -> tuple[Member, ...]:
    """Return the temporary files in a checkpoint's directory, or beside its files, sorted by name.

    What cannot be listed or has gone meanwhile is left out.

    Args:
        candidate: the checkpoint.
        storage: where it is.
        listed: the temporary files of each directory with checkpoints, which is listed once for
            all of them: there may be thousands.
    """
    top = candidate.path
    if any(candidate.hint is spec.name for spec in directory_specs()) and _is_directory(
        top, storage
    ):
        return tuple(sorted(_below(top, "", storage, candidate.hint), key=lambda m: m.name))
    directory, name = os.path.split(top)
    listed = {} if listed is None else listed
    if directory not in listed:
        base = os.path.basename(os.path.abspath(directory))
        listed[directory] = [e for e in _entries(directory, storage) if _is_temporary(e, base)]
    seen: list[Member] = []
    for entry in listed[directory]:
        if not entry.name.removeprefix(".").startswith(name or "."):
            continue
        if not entry.is_dir:
            seen.extend(_seen(directory, f"/{entry.name}", storage))
        elif entry.name.startswith(f"{name}{_BUNDLE_DIRECTORY}"):
            seen.extend(_below(directory, f"/{entry.name}", storage))
    return tuple(sorted(seen, key=lambda m: m.name))


def _is_temporary(entry: Entry, base: str) -> bool:
    if entry.is_dir:
        return _BUNDLE_DIRECTORY in entry.name
    return names.is_temporary_member(entry.name, base)


def _below(top: str, below: str, storage: Storage, of: Format = Format.UNKNOWN) -> list[Member]:
    """Every temporary file below a directory, and all that temporary directories hold.

    At the top of a checkpoint of a format, directories that are no part of it are left out.
    """
    seen: list[Member] = []
    left = [(below, False)]
    while left and len(seen) < _MOST:
        at, inside = left.pop()
        base = os.path.basename(at or os.path.abspath(top))
        for entry in _entries(top + at, storage):
            foreign = entry.is_dir and not at and not _may_belong(entry.name, of)
            if foreign or entry.name in names.OWN_DIRECTORIES:
                continue
            hidden = inside or names.is_left_out(entry.name, base, is_directory=entry.is_dir)
            if entry.is_dir:
                left.append((f"{at}/{entry.name}", hidden))
            elif hidden:
                seen.extend(_seen(top, f"{at}/{entry.name}", storage))
    return seen


def _may_belong(name: str, of: Format) -> bool:
    return names.belongs(name, of) or names.is_temporary_directory(name)


def _seen(top: str, name: str, storage: Storage) -> list[Member]:
    try:
        return [member_of(name, storage.stat(top + name))]
    except OSError:
        return []


def _entries(directory: str, storage: Storage) -> list[Entry]:
    try:
        return storage.scandir(directory or ".")
    except OSError:
        return []


def _is_directory(path: str, storage: Storage) -> bool:
    try:
        return storage.stat(path).is_dir
    except OSError:
        return False
