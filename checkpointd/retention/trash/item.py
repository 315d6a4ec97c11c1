"""The items of a trash: what each is, and where they are on disk."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.formats.names import TRASH
from checkpointd.retention.files import opened_root
from checkpointd.retention.trash.manifest import Manifest, Stage, read_manifest
from checkpointd.retention.trees import opened

if TYPE_CHECKING:
    from collections.abc import Iterator


class TrashError(Exception):
    """Something cannot be put into the trash or taken out; the message says why."""


@dataclass(frozen=True)
class TrashItem:
    """One checkpoint in the trash; `id` is its directory's name, `path` where it was."""

    id: str
    path: str
    stage: Stage
    manifest: Manifest


@contextlib.contextmanager
def opened_trash(root: str) -> Iterator[int]:
    """Open the trash below a root.

    Raises:
        FileNotFoundError: there is none.
        OSError: it cannot be opened.
    """
    with opened_root(root) as root_fd, opened(TRASH, root_fd) as trash_fd:
        yield trash_fd


@contextlib.contextmanager
def created_trash(root_fd: int) -> Iterator[int]:
    """Open the trash below an open root; it is created if there is none.

    Raises:
        OSError: it can be neither opened nor created.
    """
    try:
        os.mkdir(TRASH, 0o700, dir_fd=root_fd)
        os.fsync(root_fd)
    except FileExistsError:
        pass
    with opened(TRASH, root_fd) as trash_fd:
        yield trash_fd


def item_ids(trash_fd: int) -> list[str]:
    """The ids of all items, finished or not, oldest first."""
    with os.scandir(trash_fd) as listed:
        return sorted(e.name for e in listed if e.is_dir(follow_symlinks=False))


def read_item(root: str, trash_fd: int, identity: str) -> TrashItem | None:
    """The item with an id; None if its manifest cannot be understood.

    Raises:
        OSError: it cannot be read.
    """
    with opened(identity, trash_fd) as item_fd:
        found = read_manifest(item_fd)
    if found is None:
        return None
    stage, manifest = found
    return TrashItem(identity, f"{root.rstrip('/')}/{manifest.path}", stage, manifest)


def finished_items(root: str) -> list[TrashItem]:
    """The items that can be restored, newest first.

    Raises:
        OSError: the trash is there and cannot be read.
    """
    found = []
    with contextlib.suppress(FileNotFoundError), opened_trash(root) as trash_fd:
        for identity in item_ids(trash_fd):
            item = read_item(root, trash_fd, identity)
            if item is not None and item.stage is Stage.DONE:
                found.append(item)
    return sorted(found, key=lambda item: (item.manifest.at, item.id), reverse=True)
