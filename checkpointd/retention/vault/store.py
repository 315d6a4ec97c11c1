"""The copies on disk: made in two steps, listed, restored, and no more of a path than wanted."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from checkpointd.core.remove_tree import remove_tree
from checkpointd.core.text import size
from checkpointd.formats import generation_of
from checkpointd.formats.names import FORMER_VAULT
from checkpointd.retention.files import exists, opened_below, opened_root, parts_of, rename_new
from checkpointd.retention.trash import (
    Expired,
    Trash,
    TrashError,
    TrashItem,
    access,
    bytes_of,
    item_directory,
    moves,
)
from checkpointd.retention.trash.expiry import disk_of, min_free_bytes
from checkpointd.retention.trash.item import finished_items, item_ids
from checkpointd.retention.trash.manifest import Manifest, Stage, write_manifest
from checkpointd.retention.trees import NotUnchangedError, opened
from checkpointd.retention.vault.choice import too_many
from checkpointd.retention.vault.copying import copy_file, copy_tree
from checkpointd.retention.vault.place import former_place, vault_place

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.core.checkpoint import Checkpoint, Generation
    from checkpointd.ledger import Entry
    from checkpointd.retention.files import Part

RULE = "vault"
_REASON = "it was valid when it was copied, and its path is overwritten"
_TICK = 1e-3


@dataclass(frozen=True)
class Copy:
    """A copy that has not been compared yet: its id, and the copied checkpoint as one to read.

    `access` is who may see and remove it.
    """

    id: str
    entry: Entry
    checkpoint: Checkpoint
    generation: Generation
    access: access.Access


class Vault:
    """The vault below a root; it need not exist.

    Args:
        root: the watched root, absolute.
        mode: the permissions of its directories; None: those of what was copied.
        on_step: called with the name of each step before it; for fault injection.
    """

    def __init__(
        self,
        root: str,
        *,
        mode: int | None = None,
        on_step: Callable[[str], None] | None = None,
    ) -> None:
        self.place = vault_place(root, mode)
        self._items = Trash(root, self.place, on_step=on_step)
        self._step = on_step or (lambda _: None)

    def items(self) -> list[TrashItem]:
        """All copies, newest first, also those that older versions made.

        Raises:
            OSError: the vault is there and cannot be read.
        """
        copies = self._items.items()
        with contextlib.suppress(NotADirectoryError):
            copies += finished_items(former_place(self._items.root))
        return sorted(copies, key=lambda item: (item.manifest.at, item.id), reverse=True)

    def bytes(self) -> int:
        """The size of all copies."""
        return bytes_of(self.items())

    def copy(self, entry: Entry) -> Copy:
        """Copy a checkpoint if it still is the generation that was verified.

        Raises:
            NotUnchangedError: it has changed, before or while it was copied; nothing is left.
            TrashError: the disk is short of space; the message says so.
            OSError: the file system refused; nothing is left.
        """
        self._check_space(entry)
        relative = self._items.relative(entry.path)
        parent, _, name = relative.rpartition("/")
        known = (name, entry.checkpoint, entry.generation)
        identity = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(4)}"
        with (
            opened_root(self._items.root) as root_fd,
            opened_below(root_fd, parent) as parent_fd,
            self.place.created(root_fd) as vault_fd,
        ):
            parts = parts_of(parent_fd, *known, alone=True)
            who = self.place.access_of(root_fd, parent)
            self._step("make")
            os.mkdir(identity, 0o700, dir_fd=vault_fd)
            try:
                with opened(identity, vault_fd) as item_fd:
                    os.mkdir(moves.CONTENT, 0o700, dir_fd=item_fd)
                    with opened(moves.CONTENT, item_fd) as content_fd:
                        for part in parts:
                            self._step("copy")
                            make = copy_tree if part.directory else copy_file
                            make(part.name, parent_fd, content_fd)
                        os.fsync(content_fd)
                    os.fsync(item_fd)
                self._step("compare")
                _compare(parts, parts_of(parent_fd, *known, alone=True))
                path = f"{self.place.directory}/{identity}/{moves.CONTENT}/{name}"
                generation = generation_of(path, entry.checkpoint.format)
            except BaseException:
                remove_tree(identity, dir_fd=vault_fd)
                raise
        return Copy(identity, entry, replace(entry.checkpoint, path=path), generation, who)

    def commit(self, copy: Copy) -> None:
        """Make a copy that was compared one that can be restored.

        Raises:
            NotUnchangedError: somebody changed it; nothing is left.
            OSError: the file system refused; nothing is left.
        """
        try:
            self._commit(copy)
        except BaseException:
            self.discard(copy)
            raise

    def _commit(self, copy: Copy) -> None:
        entry = copy.entry
        relative = self._items.relative(entry.path)
        name = relative.rpartition("/")[2]
        before = self.find(entry.path)
        # The clock may have been put back, and the newest copy must be the one that stays.
        at = max(time.time(), before.manifest.at + _TICK if before else 0.0)
        with self.place.opened() as vault_fd, opened(copy.id, vault_fd) as item_fd:
            with opened(moves.CONTENT, item_fd) as content_fd:
                parts = parts_of(content_fd, name, entry.checkpoint, copy.generation, alone=True)
                access.give(content_fd, copy.access)
            access.give(item_fd, copy.access)
            manifest = Manifest.of(entry, relative, parts, rule=RULE, reason=_REASON, at=at)
            manifest = replace(manifest, generation=copy.generation, source=entry.generation.key)
            self._step("write")
            write_manifest(manifest, item_fd, copy.access.of_files, Stage.DONE)
            self._step("sync")
            os.fsync(vault_fd)

    def discard(self, copy: Copy) -> None:
        """Delete a copy that is not what was verified."""
        with contextlib.suppress(OSError), self.place.opened() as vault_fd:
            remove_tree(copy.id, dir_fd=vault_fd)

    def recover(self) -> None:
        """Finish or undo what a crash left; not while another thread copies.

        Raises:
            OSError: the vault cannot be opened.
        """
        with contextlib.suppress(FileNotFoundError), self.place.opened() as vault_fd:
            for identity in item_ids(vault_fd):
                if not _is_committed(identity, vault_fd):
                    self._step("remove")
                    remove_tree(identity, dir_fd=vault_fd)
        self._items.recover()

    def adopt(self) -> None:
        """Take over what older versions have copied; each copy is one rename.

        Raises:
            OSError: the file system refused; what was not moved is still listed.
        """
        with (
            contextlib.suppress(FileNotFoundError, NotADirectoryError),
            opened_root(self._items.root) as root_fd,
            opened(FORMER_VAULT, root_fd) as former_fd,
        ):
            with self.place.created(root_fd) as vault_fd:
                for identity in item_ids(former_fd):
                    self._step("adopt")
                    if _is_committed(identity, former_fd):
                        rename_new(identity, former_fd, vault_fd)
                    else:
                        remove_tree(identity, dir_fd=former_fd)
                os.fsync(vault_fd)
            with contextlib.suppress(OSError):
                os.rmdir(FORMER_VAULT, dir_fd=root_fd)

    def expire(self, count: int) -> list[TrashItem]:
        """Delete all but the newest `count` copies of each path; return the deleted ones.

        Raises:
            OSError: something cannot be deleted.
        """
        deleted = too_many(self._items.items(), count)
        for item in deleted:
            with self.place.opened() as vault_fd:
                item_directory.delete(vault_fd, item.id, self._step)
        return deleted

    def empty(self, ids: frozenset[str]) -> Expired:
        """Delete some copies for good; those that are not here are left out."""
        try:
            self.adopt()
        except OSError as error:
            return Expired((), (f"The vault cannot be written: {error.strerror}.",))
        return self._items.empty(ids)

    def find(self, path_or_id: str) -> TrashItem | None:
        """The newest copy of a path, or the one with an id; None if there is none.

        Raises:
            OSError: the vault is there and cannot be read.
        """
        return next((i for i in self.items() if path_or_id in (i.path, i.id)), None)

    def restore(self, item: TrashItem) -> TrashItem:
        """Move a copy to its path; never over something.

        Raises:
            TrashError: something is at its path; it stays in the vault.
            OSError: the file system refused; it stays in the vault.
        """
        return self._items.restore(item.id)

    def _check_space(self, entry: Entry) -> None:
        disk = disk_of(self._items.root)
        needed = entry.generation.size_bytes * 2 + int(min_free_bytes(disk.total))
        if disk.free < needed:
            raise TrashError(
                f"{entry.path!r} is not copied to the vault: {size(disk.free)} are free, and "
                f"{size(needed)} are left for the copy, the next save and a reserve; free some "
                "space"
            )


def _is_committed(identity: str, vault_fd: int) -> bool:
    """Whether an item has a manifest: only what was compared has one."""
    with opened(identity, vault_fd) as item_fd:
        return any(exists(stage, item_fd) for stage in Stage)


def _compare(before: list[Part], after: list[Part]) -> None:
    if before != after:
        raise NotUnchangedError("it changed while it was copied")
