"""Checkpoints that are directories: a SavedModel, and what Keras 3 saves with `zipped=False`."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format, directory_specs, function
from checkpointd.formats import names
from checkpointd.formats.facts import PROBE_BYTES
from checkpointd.formats.members import members_of

if TYPE_CHECKING:
    from checkpointd.core.checkpoint import Member
    from checkpointd.formats.storage import Entry, Storage

_CONFIG_BEGINS = re.compile(rb'\s*\{\s*"module"\s*:')
"""How Keras 3 begins the configuration of a model."""

_CLASS_KEYS = frozenset({"module", "class_name", "registered_name"})


def format_of(directory: str, entries: list[Entry], storage: Storage) -> Format | None:
    """Return the format of the checkpoint that a directory is itself; None if it is none.

    Args:
        directory: its path.
        entries: what it holds.
        storage: where it is stored.
    """
    for spec in directory_specs():
        if function(spec.directory_test)(directory, entries, storage):
            return spec.name
    return None


def directory_around(path: str, storage: Storage) -> tuple[str, Format] | None:
    """Find the checkpoint that is a directory and that a path is a part of, at any depth.

    A part whose name promises a format is a checkpoint by itself, except for Keras's weights.
    """
    directory, name = os.path.split(path)
    if _is_named_like_a_checkpoint(name):
        is_part = name in names.KERAS_WEIGHTS and _is_of(directory or ".", Format.KERAS, storage)
        return (directory or ".", Format.KERAS) if is_part else None
    while name:
        for spec in directory_specs():
            if names.belongs(name, spec.name) and _is_of(directory or ".", spec.name, storage):
                return directory or ".", spec.name
        directory, name = os.path.split(directory)
    return None


def _is_named_like_a_checkpoint(name: str) -> bool:
    part = names.BUNDLE_PART.fullmatch(name)
    if part is not None:
        return part["prefix"] != "variables"
    return names.hint_of(name) is not Format.UNKNOWN


def tree(path: str, format: Format, storage: Storage) -> tuple[Member, ...]:
    """Every regular file that is a part of a directory's checkpoint, at any depth.

    Links to files count, links to directories do not, nor what `names.is_left_out` names. A
    sub-directory that goes away meanwhile has no files; the directory itself must be there.
    """
    parts: dict[str, bool] = {}
    left = [""]
    while left:
        below = left.pop()
        try:
            entries = storage.scandir(path + below)
        except (FileNotFoundError, NotADirectoryError):
            if not below:
                raise
            continue
        base = os.path.basename(below or os.path.abspath(path))
        for entry in entries:
            if names.is_left_out(entry.name, base, is_directory=entry.is_dir):
                continue
            if not below and not names.belongs(entry.name, format):
                continue
            if entry.is_dir:
                left.append(f"{below}/{entry.name}")
            else:
                parts[f"{below}/{entry.name}"] = entry.is_symlink
    return members_of(path, parts, storage)


def _is_of(directory: str, format: Format, storage: Storage) -> bool:
    try:
        return format_of(directory, storage.scandir(directory), storage) is format
    except OSError:
        return False


def is_savedmodel(directory: str, entries: list[Entry], storage: Storage) -> bool:
    """Whether a directory is a SavedModel, or one that is just being written.

    Its writers put `variables/` there first (see the architecture page). Such a directory counts
    when that holds a bundle called `variables`, or when it is empty with nothing foreign beside.
    """
    if any(entry.name in names.GRAPH_FILES and not entry.is_dir for entry in entries):
        return True
    if not any(entry.name == "variables" and entry.is_dir for entry in entries):
        return False
    try:
        inside = [entry.name for entry in storage.scandir(os.path.join(directory, "variables"))]
    except OSError:
        return False
    base = os.path.basename(os.path.abspath(directory))
    return any(name == "variables_temp" or name.startswith("variables.") for name in inside) or (
        not inside
        and all(
            names.belongs(entry.name, Format.SAVEDMODEL)
            or names.is_temporary_file(entry.name, base)
            for entry in entries
        )
    )


def is_keras(directory: str, entries: list[Entry], storage: Storage) -> bool:
    """Whether a directory is Keras's: its names are common ones, so the content decides.

    One of its two JSON files has to show that it is Keras's, and the configuration must not be
    somebody else's: a job may keep its settings in files of the same name.
    """
    files = {entry.name for entry in entries if entry.is_file or entry.is_symlink}
    if names.KERAS_METADATA not in files:
        return False
    if files.isdisjoint((names.KERAS_CONFIG, *names.KERAS_WEIGHTS)):
        return False
    try:
        metadata = storage.pread(os.path.join(directory, names.KERAS_METADATA), 0, PROBE_BYTES)
        config = b""
        if names.KERAS_CONFIG in files:
            config = storage.pread(os.path.join(directory, names.KERAS_CONFIG), 0, PROBE_BYTES)
    except OSError:
        return False
    if _CONFIG_BEGINS.match(config) and b'"class_name"' in config:
        return True
    marked = b'"keras_version"' in metadata and b'"date_saved"' in metadata
    return marked and not _is_of_others(config)


def _is_of_others(config: bytes) -> bool:
    """Whether a text is a JSON object that describes no class."""
    try:
        content = json.loads(config)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and _CLASS_KEYS.isdisjoint(content)
