"""The trash of one root: checkpoints are put in, listed, and restored."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.retention.files import exists, opened_below, opened_root, parts_of
from checkpointd.retention.trash import expiry, item_directory, moves, recovery
from checkpointd.retention.trash.inspection import is_same_mount
from checkpointd.retention.trash.item import (
    NotInTrashError,
    TrashError,
    TrashItem,
    bytes_of,
    every_item,
    finished_items,
    item_ids,
)
from checkpointd.retention.trash.manifest import Manifest, Stage
from checkpointd.retention.trash.place import TrashPlace, trash_place
from checkpointd.retention.trees import NotUnchangedError, opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.ledger import Entry


class Trash:
    """The trash below a root; it need not exist.

    Args:
        root: the watched root, absolute.
        place: where its trash is; by default inside the root.
        is_trusted: whether an item that another user wrote may be moved; by default it may not.
        on_step: called with the name of each step before it; for fault injection.
    """

    def __init__(
        self,
        root: str,
        place: TrashPlace | None = None,
        *,
        is_trusted: Callable[[TrashItem], bool] = lambda _: False,
        on_step: Callable[[str], None] | None = None,
    ) -> None:
        self._is_trusted = is_trusted
        self.root = root.rstrip("/") or "/"
        self.place = place or trash_place(root)
        self._step = on_step or (lambda _: None)

    def put(
        self,
        entry: Entry,
        *,
        rule: str,
        reason: str,
        guard: Callable[[int], None],
        at: float | None = None,
        policy_changed: bool = False,
        ledger: str = "",
    ) -> TrashItem:
        """Move a checkpoint into the trash, if it still is the generation that was verified.

        Args:
            entry: what the ledger knows of it.
            rule: the rule that removes it.
            reason: why it is removed, in a sentence.
            guard: called right before the first rename and after the last, with a descriptor of
                the directory that the checkpoint is in then; raises to refuse.
            at: seconds since the epoch; now if None.
            policy_changed: whether this is the first round of another policy.
            ledger: the id of the ledger that knows it.

        Raises:
            TrashError: it is not below the root.
            NotUnchangedError: it changed; nothing was moved.
            OSError: the file system refused; nothing was moved.
        """
        relative = self.relative(entry.path)
        parent, _, name = relative.rpartition("/")
        with opened_root(self.root) as root_fd, opened_below(root_fd, parent) as parent_fd:
            parts = parts_of(parent_fd, name, entry.checkpoint, entry.generation, alone=True)
            manifest = replace(
                Manifest.of(entry, relative, parts, rule=rule, reason=reason, at=at),
                ledger=ledger,
                policy_changed=policy_changed,
            )
            with self.place.created(root_fd) as trash_fd:
                _refuse_another_disk(root_fd, trash_fd, self.place)
                who = self.place.access_of(root_fd, parent)
                identity = item_directory.make(trash_fd, manifest, who, self._step)
                try:
                    with opened(identity, trash_fd) as item_fd:
                        self._move_in(entry, manifest, parent_fd, item_fd, guard)
                except BaseException:
                    item_directory.discard(trash_fd, identity)
                    raise
        return TrashItem(identity, entry.path, Stage.DONE, manifest)

    def items(self) -> list[TrashItem]:
        """What can be restored, newest first.

        Raises:
            OSError: the trash is there and cannot be read.
        """
        return finished_items(self.place)

    def every_item(self) -> list[TrashItem]:
        """What can be restored, and what a crash or a fault left half moved, newest first.

        Raises:
            OSError: the trash is there and cannot be read.
        """
        return every_item(self.place)

    def bytes(self) -> int:
        """The size of all items."""
        return bytes_of(self.items())

    def find(self, path_or_id: str) -> TrashItem:
        """The newest item from a path, or the one with an id.

        Raises:
            NotInTrashError: there is none.
            OSError: the trash cannot be read.
        """
        for item in self.items():
            if path_or_id in (item.path, item.id):
                return item
        raise NotInTrashError(
            f"{path_or_id!r} is not in the trash of {self.root!r}: `checkpointd trash list` shows "
            "what is."
        )

    def restore(self, path_or_id: str) -> TrashItem:
        """Move an item back to its path; never over something.

        Raises:
            TrashError: there is no such item, or something is at its path; it stays in the trash.
            OSError: the file system refused; it stays in the trash.
        """
        item = self.find(path_or_id)
        if not self._may_move(item):
            raise TrashError(
                f"{item.path!r} cannot be restored: another user wrote its manifest, and the "
                f"ledger does not know it. Move {self.place.directory}/{item.id}/content yourself."
            )
        parent = item.manifest.path.rpartition("/")[0]
        with (
            opened_root(self.root) as root_fd,
            opened_below(root_fd, parent, create=True) as parent_fd,
            self.place.created(root_fd) as trash_fd,
        ):
            taken = [p.name for p in item.manifest.parts if exists(p.name, parent_fd)]
            if taken:
                raise TrashError(
                    f"{item.path!r} cannot be restored, {taken[0]!r} exists again: move that "
                    "away first."
                )
            with opened(item.id, trash_fd) as item_fd:
                if not moves.is_whole(item_fd, item.manifest):
                    raise TrashError(
                        f"{item.path!r} cannot be restored: its files in the trash were removed or "
                        f"changed. What is left of them is in {self.place.directory}/{item.id}."
                    )
                self._step("restore: mark")
                moves.mark(item_fd, Stage.DONE, Stage.RESTORING)
                try:
                    moves.move_back(item_fd, parent_fd, item.manifest, self._step)
                except OSError as error:
                    moves.move_in_again(item_fd, parent_fd, item.manifest)
                    moves.mark(item_fd, Stage.RESTORING, Stage.DONE)
                    if isinstance(error, FileExistsError):
                        raise TrashError(
                            f"{item.path!r} cannot be restored, something was created at its path."
                        ) from None
                    raise
            self._step("restore: discard")
            item_directory.discard(trash_fd, item.id)
        return item

    def expire(
        self,
        limits: expiry.TrashLimits,
        *,
        keep: frozenset[str] = frozenset(),
        stopped: Callable[[], bool] = lambda: False,
    ) -> expiry.Expired:
        """Delete for good what is old enough, and oldest first while the job needs the space.

        Args:
            limits: for how long an item stays, and how much space others need.
            keep: the ids of items that stay whatever their age.
            stopped: called before each item; nothing more is deleted once it returns True.
        """
        return expiry.expire(self.place, limits, keep=keep, stopped=stopped, on_step=self._step)

    def empty(
        self, ids: frozenset[str], *, stopped: Callable[[], bool] = lambda: False
    ) -> expiry.Expired:
        """Delete some items for good; those that are not here are left out."""
        try:
            chosen = [expiry.Deleted(i, expiry.BY_HAND) for i in self.items() if i.id in ids]
        except OSError as error:
            return expiry.unreadable(self.place, error)
        return expiry.delete(self.place, chosen, stopped=stopped, on_step=self._step)

    def keep_reserve(self) -> bool:
        """Reserve space for the first removal while the disk is not full; False if there is none.

        Nothing is written into an empty root, which may be a mount point without its disk.
        """
        try:
            with opened_root(self.root) as root_fd:
                if not os.listdir(root_fd):
                    return False
                with self.place.created(root_fd) as trash_fd:
                    return is_same_mount(root_fd, trash_fd) and item_directory.keep_reserve(
                        trash_fd
                    )
        except OSError:
            return False

    def remove_if_empty(self) -> bool:
        """Remove the trash of a watch that is no more; False if anything is left in it.

        Raises:
            FileNotFoundError: the root is not there.
            OSError: it cannot be read or removed.
        """
        with opened_root(self.root):
            pass
        try:
            with self.place.opened() as trash_fd:
                if item_ids(trash_fd):
                    return False
                item_directory.remove_reserve(trash_fd)
            os.rmdir(self.place.directory)
        except FileNotFoundError:
            return True
        except OSError as error:
            if error.errno != errno.ENOTEMPTY:
                raise
            return False
        return True

    def recover(self) -> list[recovery.Recovered]:
        """Finish or undo what a crash left; the result names every item.

        Raises:
            OSError: the root or its trash cannot be opened.
        """
        return recovery.recover(self.place, self._may_move, self._step)

    def _may_move(self, item: TrashItem) -> bool:
        return not item.is_foreign or self._is_trusted(item)

    def relative(self, path: str) -> str:
        """A path below the root, as seen from there.

        Raises:
            TrashError: it is not below the root.
        """
        start = self.root.rstrip("/") + "/"
        relative = path[len(start) :]
        if not path.startswith(start) or not relative:
            raise TrashError(f"{path!r} is not below {self.root!r}.")
        return relative

    def _move_in(
        self,
        entry: Entry,
        manifest: Manifest,
        parent_fd: int,
        item_fd: int,
        guard: Callable[[int], None],
    ) -> None:
        name = manifest.path.rpartition("/")[2]
        self._step("guard")
        guard(parent_fd)
        if tuple(parts_of(parent_fd, name, entry.checkpoint, entry.generation)) != manifest.parts:
            raise NotUnchangedError("it changed while it was checked")
        try:
            moves.move_in(item_fd, parent_fd, manifest, self._step)
            self._step("guard again")
            with opened(moves.CONTENT, item_fd) as content_fd:
                guard(content_fd)
        except BaseException:
            moves.move_back(item_fd, parent_fd, manifest, self._step)
            raise
        self._step("mark")
        moves.mark(item_fd, Stage.MOVING, Stage.DONE)


def _refuse_another_disk(root_fd: int, trash_fd: int, place: TrashPlace) -> None:
    if not is_same_mount(root_fd, trash_fd):
        raise TrashError(
            f"trash_dir is not on the file system of {place.root!r}, or in another mount of it, "
            "and nothing is copied: name a directory that is"
        )
