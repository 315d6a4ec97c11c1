"""The items of a trash: what each is, and where they are on disk."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.retention.trash.manifest import Manifest, Stage, read_manifest
from checkpointd.retention.trees import opened

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.retention.trash.place import TrashPlace


class TrashError(Exception):
    """Something cannot be put into the trash or taken out; the message says why."""


class NotInTrashError(TrashError):
    """There is no such item."""


@dataclass(frozen=True)
class TrashItem:
    """One checkpoint in the trash; `id` is its directory's name, `path` where it was.

    `is_foreign` says that this process is root, and another user wrote the manifest: any user who
    may remove an item could also have changed it.
    """

    id: str
    path: str
    stage: Stage
    manifest: Manifest
    is_foreign: bool = False


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
        parsed = read_manifest(item_fd)
    if parsed is None:
        return None
    stage, manifest, owner = parsed
    is_foreign = os.geteuid() == 0 and owner != 0
    path = f"{root.rstrip('/')}/{manifest.path}"
    return TrashItem(identity, path, stage, manifest, is_foreign)


def bytes_of(items: Iterable[TrashItem]) -> int:
    """The size of some items."""
    return sum(item.manifest.size_bytes for item in items)


def finished_items(place: TrashPlace) -> list[TrashItem]:
    """The items that can be restored, newest first.

    Raises:
        OSError: the trash is there and cannot be read.
    """
    return [item for item in every_item(place) if item.stage is Stage.DONE]


def every_item(place: TrashPlace) -> list[TrashItem]:
    """The items whose manifest can be understood, newest first, with those half moved.

    Raises:
        OSError: the trash is there and cannot be read.
    """
    items = []
    with contextlib.suppress(FileNotFoundError), place.opened() as trash_fd:
        for identity in item_ids(trash_fd):
            try:
                item = read_item(place.root, trash_fd, identity)
            except FileNotFoundError:  # the job is removing its directory, the trash with it
                continue
            if item is not None:
                items.append(item)
    return sorted(items, key=lambda item: (item.manifest.at, item.id), reverse=True)
