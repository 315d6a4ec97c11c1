"""Recovers items that a crash left half moved: each move is finished or undone."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.retention.files import opened_below, opened_root
from checkpointd.retention.trash import item_directory, moves
from checkpointd.retention.trash.item import TrashItem, item_ids, read_item
from checkpointd.retention.trash.manifest import Stage
from checkpointd.retention.trees import opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.retention.trash.place import TrashPlace


@dataclass(frozen=True)
class Recovered:
    """What a start did with an item that a crash had left.

    `outcome` is `moved` (it is in the trash), `undone` or `restored` (it is back), `deleted`, or
    `unclear` (it was left alone; `message` says why).
    """

    id: str
    outcome: str
    item: TrashItem | None = None
    message: str = ""


def recover(
    place: TrashPlace, is_trusted: Callable[[TrashItem], bool], on_step: Callable[[str], None]
) -> list[Recovered]:
    """Finish or undo what a crash left; see `Trash.recover`."""
    recovered = []
    with contextlib.suppress(FileNotFoundError), place.opened() as trash_fd:
        for identity in item_ids(trash_fd):
            try:
                recovered.append(_recover(place.root, trash_fd, identity, is_trusted, on_step))
            except OSError as error:
                message = f"{identity} was left as it is: {error.strerror}."
                recovered.append(Recovered(identity, "unclear", None, message))
    return recovered


def _recover(
    root: str,
    trash_fd: int,
    identity: str,
    is_trusted: Callable[[TrashItem], bool],
    on_step: Callable[[str], None],
) -> Recovered:
    item = read_item(root, trash_fd, identity)
    if item is None:
        if item_directory.discard(trash_fd, identity):
            return Recovered(identity, "undone")
        message = f"{identity} has no manifest that can be read; it was left as it is."
        return Recovered(identity, "unclear", None, message)
    if item.stage is Stage.DELETING:
        item_directory.delete(trash_fd, identity, on_step)
    if item.stage in (Stage.DELETING, Stage.DONE):
        return Recovered(identity, "moved" if item.stage is Stage.DONE else "deleted", item)
    if not is_trusted(item):
        message = f"{identity} was written by another user, and was left as it is."
        return Recovered(identity, "unclear", None, message)
    return _settle(root, trash_fd, item, on_step)


def _settle(root: str, trash_fd: int, item: TrashItem, on_step: Callable[[str], None]) -> Recovered:
    parent = item.manifest.path.rpartition("/")[0]
    with (
        opened_root(root) as root_fd,
        opened_below(root_fd, parent, create=True) as parent_fd,
        opened(item.id, trash_fd) as item_fd,
    ):
        item_directory.keep_content(item_fd)
        settle = moves.finish if item.stage is Stage.MOVING else moves.finish_restoring
        is_back = settle(item_fd, parent_fd, item.manifest, on_step)
        if not is_back:
            moves.mark(item_fd, item.stage, Stage.DONE)
            return Recovered(item.id, "moved", item)
    item_directory.discard(trash_fd, item.id)
    return Recovered(item.id, "undone" if item.stage is Stage.MOVING else "restored", item)
