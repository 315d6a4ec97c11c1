"""Replaces a checkpoint in one step: written in a temporary directory, flushed, renamed.

What is unfinished is in a directory `.checkpointd-tmp-<hex>` beside its target, a name that the
watcher passes over. A killed job leaves one of these behind and nothing else.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
import shutil
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import GOLDEN_DIRECTORY, GOLDEN_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator

TEMPORARY_PREFIX = ".checkpointd-tmp-"

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
_SAVEDMODEL_NAMES = frozenset(
    {
        "saved_model.pb",
        "saved_model.cpb",
        "saved_model.pbtxt",
        "fingerprint.pb",
        "keras_metadata.pb",
        "variables",
        "assets",
        "assets.extra",
        "debug",
    }
)
_KERAS_NAMES = frozenset({"metadata.json", "config.json", "model.weights.h5"})


@contextlib.contextmanager
def temporary_directory(target: str) -> Iterator[str]:
    """Make a directory for what is unfinished, on the target's file system; remove it at the end.

    Args:
        target: an absolute path; its directory is made if it is not there.
    """
    directory = os.path.join(os.path.dirname(target), TEMPORARY_PREFIX + secrets.token_hex(8))
    os.makedirs(directory)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def flush(path: str) -> None:
    """Make a file, or a directory with everything in it, durable.

    Raises:
        OSError: the disk did not take it.
    """
    if os.path.isdir(path):
        for entry in os.scandir(path):
            flush(entry.path)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_directory_of(path: str) -> None:
    descriptor = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def replace_file(source: str, target: str) -> None:
    """Rename a durable file to its final name."""
    os.replace(source, target)
    _flush_directory_of(target)


def replace_prefix(source: str, target: str) -> None:
    """Rename a TensorFlow checkpoint's files: the shards first, `.index` last.

    An index that is in the way goes first: beside new shards it would describe what is not there.
    """
    directory, name = os.path.split(source)
    members = [n[len(name) :] for n in os.listdir(directory) if n.startswith(name + ".")]
    with contextlib.suppress(FileNotFoundError):
        os.unlink(target + ".index")
    for member in sorted(members, key=lambda member: member == ".index"):
        os.replace(source + member, target + member)
    _flush_directory_of(target)


def replace_directory(source: str, target: str) -> None:
    """Move a model's directory to its path; one that is there is exchanged for it in one step.

    Files of the user's in the old directory are carried over.

    Raises:
        FileExistsError: there is a directory that is no model, or a file.
    """
    if not os.path.lexists(target):
        os.rename(source, target)
    else:
        check_replaceable(target)
        if not _exchange(source, target):
            old = source + ".old"
            os.rename(target, old)
            os.rename(source, target)
            source = old
        _carry_over(source, target, _SAVEDMODEL_NAMES | _KERAS_NAMES)
        old_extra = os.path.join(source, GOLDEN_DIRECTORY)
        if os.path.isdir(old_extra):
            extra = os.path.join(target, GOLDEN_DIRECTORY)
            os.makedirs(extra, exist_ok=True)
            _carry_over(old_extra, extra, {GOLDEN_NAME})
    _flush_directory_of(target)


def check_replaceable(target: str) -> None:
    """Check that a model's directory may replace `target` without losing anything else.

    Raises:
        FileExistsError: there is a directory that is no model, or a file.
    """
    if not os.path.lexists(target):
        return
    if not os.path.isdir(target):
        raise FileExistsError(
            f"{target!r} is a file: give the model a directory of its own, or a name that "
            "ends in .keras or .h5."
        )
    names = set(os.listdir(target))
    is_savedmodel = names & {"saved_model.pb", "saved_model.cpb", "saved_model.pbtxt"}
    if names and not is_savedmodel and not names >= _KERAS_NAMES:
        raise FileExistsError(
            f"{target!r} is a directory that holds something else than a model: save into a "
            "directory of its own inside it, such as " + repr(os.path.join(target, "1")) + "."
        )


def _carry_over(source: str, target: str, ours: frozenset[str] | set[str]) -> None:
    present = set(os.listdir(target))
    for name in os.listdir(source):
        if name not in ours and name not in present:
            os.rename(os.path.join(source, name), os.path.join(target, name))


def _exchange(first: str, second: str) -> bool:
    """Exchange two names at once (renameat2); False where kernel or file system cannot."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return False
    status = renameat2(
        _AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _RENAME_EXCHANGE
    )
    return bool(status == 0)
