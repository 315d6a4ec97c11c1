"""What a start does with items that a crash left half moved: each is finished or undone."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.retention.files import opened_below, opened_root
from checkpointd.retention.trash import item_directory, moves
from checkpointd.retention.trash.item import TrashItem, item_ids, opened_trash, read_item
from checkpointd.retention.trash.manifest import Stage
from checkpointd.retention.trees import opened

if TYPE_CHECKING:
    from collections.abc import Callable


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


def recover(root: str, on_step: Callable[[str], None]) -> list[Recovered]:
    """Finish or undo what a crash left; see `Trash.recover`."""
    found = []
    with contextlib.suppress(FileNotFoundError), opened_trash(root) as trash_fd:
        for identity in item_ids(trash_fd):
            try:
                found.append(_recover(root, trash_fd, identity, on_step))
            except OSError as error:
                message = f"{identity} was left as it is: {error.strerror}."
                found.append(Recovered(identity, "unclear", None, message))
    return found


def _recover(root: str, trash_fd: int, identity: str, on_step: Callable[[str], None]) -> Recovered:
    item = read_item(root, trash_fd, identity)
    if item is None:
        if item_directory.discard(trash_fd, identity):
            return Recovered(identity, "undone")
        message = f"{identity} has no manifest that can be read; it was left as it is."
        return Recovered(identity, "unclear", None, message)
    if item.stage is Stage.DELETING:
        item_directory.delete(trash_fd, identity, on_step)
        return Recovered(identity, "deleted", item)
    if item.stage is Stage.DONE:
        return Recovered(identity, "moved", item)
    parent = item.manifest.path.rpartition("/")[0]
    with (
        opened_root(root) as root_fd,
        opened_below(root_fd, parent, create=True) as parent_fd,
        opened(identity, trash_fd) as item_fd,
    ):
        item_directory.keep_content(item_fd)
        settle = moves.finish if item.stage is Stage.MOVING else moves.finish_restoring
        is_back = settle(item_fd, parent_fd, item.manifest, on_step)
        if not is_back:
            moves.mark(item_fd, item.stage, Stage.DONE)
            return Recovered(identity, "moved", item)
    item_directory.discard(trash_fd, identity)
    return Recovered(identity, "undone" if item.stage is Stage.MOVING else "restored", item)
