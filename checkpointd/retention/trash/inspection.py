"""Whether checkpoints could be moved to a trash outside the root; nothing is written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from checkpointd.core.mounts import mount_id
from checkpointd.core.text import size
from checkpointd.retention.trash.expiry import disk_of
from checkpointd.retention.trees import DIRECTORY

if TYPE_CHECKING:
    from checkpointd.retention.trash.place import TrashPlace

_LEAST_FREE = 1 << 20


def why_unusable(place: TrashPlace) -> str:
    """Why nothing can be moved to a trash, in a sentence; empty if it can, or nobody knows yet.

    A removal is a rename: nothing is ever copied, so that a full disk or a crash loses nothing.
    """
    if place.is_inside or not os.path.isdir(place.root):
        return ""
    directory = os.path.dirname(place.directory)
    try:
        there = nearest_directory(directory)
        if not is_same_mount(place.root, there):
            return (
                f"{directory} and {place.root} are not on one file system and in one mount, so "
                "that nothing can be renamed from one to the other, and nothing is ever copied: "
                "name a directory that is, or leave trash_dir out (under systemd one "
                "ReadWritePaths= must contain both)"
            )
        if not os.access(there, os.W_OK | os.X_OK):
            return f"{there} cannot be written by user {os.geteuid()}, who must own it or its group"
        free = disk_of(there).free
    except OSError as error:
        return f"{directory} cannot be used: {error.strerror}"
    if free < _LEAST_FREE:
        return f"the file system of {directory} is full: {size(free)} are free"
    return ""


def is_same_mount(first: str | int, second: str | int) -> bool:
    """Whether something can be renamed from one directory to another.

    A bind mount is the same file system and another mount: there a rename fails as well.

    Raises:
        OSError: one cannot be opened.
    """
    return _mount_of(first) == _mount_of(second)


def _mount_of(directory: str | int) -> tuple[int, str | None]:
    if isinstance(directory, int):
        return os.fstat(directory).st_dev, mount_id(directory)
    file = os.open(directory, DIRECTORY & ~os.O_NOFOLLOW)
    try:
        return _mount_of(file)
    finally:
        os.close(file)


def nearest_directory(path: str) -> str:
    """The nearest directory above a path that exists, or itself."""
    while not os.path.isdir(path) and path != "/":
        path = os.path.dirname(path)
    return path
