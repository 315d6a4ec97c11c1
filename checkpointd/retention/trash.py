"""The trash of one root: pruned checkpoints wait there, on the same file system, to be undone.

An item is `ROOT/.checkpointd-trash/<time>-<random>/`: a manifest and `content/`. Every step is
one rename of something whole, and the manifest's name says how far an item has come, so that
`recover` can finish or undo what a crash left. One process at a time may change it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.core.text import exact_duration, size
from checkpointd.formats.names import TRASH
from checkpointd.retention import items, moving
from checkpointd.retention.files import exists, opened_below, opened_root, parts_of
from checkpointd.retention.manifest import Manifest, Stage, read_manifest
from checkpointd.retention.trees import NotUnchangedError, opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from checkpointd.ledger import Entry

_GIB = 1 << 30
_MIN_FREE_SHARE, _MIN_FREE_MOST = 1 / 20, 10 * _GIB
_MIN_FREE_BYTES, _MIN_FREE_SHARE_MOST = _GIB, 1 / 10


def min_free_bytes(total: int) -> float:
    """Below how many free bytes a disk of a size counts as nearly full.

    A twentieth of it, 10 GiB at most: a large disk has room for many checkpoints long before. And
    1 GiB at least, if that is no more than a tenth: a small one has none long after.
    """
    return max(
        min(total * _MIN_FREE_SHARE, _MIN_FREE_MOST),
        min(_MIN_FREE_BYTES, total * _MIN_FREE_SHARE_MOST),
    )


class TrashError(Exception):
    """Something cannot be put into the trash or taken out; the sentence says why."""


@dataclass(frozen=True)
class Item:
    """One checkpoint in the trash; `id` is its directory's name, `path` where it lay."""

    id: str
    path: str
    stage: Stage
    manifest: Manifest


@dataclass(frozen=True)
class Deleted:
    """One item that was deleted for good, and why: it was old enough, or the disk nearly full."""

    item: Item
    reason: str

    @property
    def path(self) -> str:
        """Where it lay before it was pruned."""
        return self.item.path


@dataclass(frozen=True)
class Expired:
    """What was deleted for good, and sentences about what could not be."""

    deleted: tuple[Deleted, ...]
    troubles: tuple[str, ...]


@dataclass(frozen=True)
class Recovered:
    """What a start made of an item that a crash had left.

    `outcome` is `moved` (it is in the trash), `undone` or `restored` (it is back), `deleted`, or
    `unclear` (it was left alone; `message` says why).
    """

    id: str
    outcome: str
    item: Item | None = None
    message: str = ""


class Trash:
    """The trash below a root; it need not exist.

    Args:
        root: the watched root, absolute.
        on_step: told the name of each step before it is taken; for fault injection.
    """

    def __init__(self, root: str, *, on_step: Callable[[str], None] | None = None) -> None:
        self.root = root.rstrip("/") or "/"
        self._step = on_step or (lambda _: None)

    def put(
        self,
        entry: Entry,
        *,
        rule: str,
        reason: str,
        guard: Callable[[], None],
        at: float | None = None,
    ) -> Item:
        """Move a checkpoint into the trash, if it still is the generation that was verified.

        Args:
            entry: what the ledger knows of it.
            rule: why it goes, in a word.
            reason: the same in a sentence.
            guard: called right before the first rename and after the last; raises to refuse.
            at: seconds since the epoch; now if None.

        Raises:
            TrashError: it does not lie below the root.
            NotUnchangedError: it changed; nothing was moved.
            OSError: the file system refused; nothing was moved.
        """
        relative = self.relative(entry.path)
        parent, _, name = relative.rpartition("/")
        with opened_root(self.root) as root_fd, opened_below(root_fd, parent) as parent_fd:
            parts = tuple(parts_of(parent_fd, name, entry.checkpoint, entry.generation, alone=True))
            manifest = Manifest(
                path=relative,
                watch=entry.checkpoint.watch,
                series=entry.checkpoint.series,
                format=str(entry.checkpoint.format),
                entry=entry.id,
                generation=entry.generation,
                size_bytes=entry.generation.size_bytes,
                at=time.time() if at is None else at,
                rule=rule,
                reason=reason,
                parts=parts,
            )
            with self._opened_trash(root_fd) as trash_fd:
                identity = items.make(trash_fd, manifest, self._step)
                try:
                    with opened(identity, trash_fd) as item_fd:
                        self._move_in(entry, manifest, parent_fd, item_fd, guard)
                except BaseException:
                    items.discard(trash_fd, identity)
                    raise
        return Item(identity, entry.path, Stage.DONE, manifest)

    def items(self) -> list[Item]:
        """What can be restored, newest first.

        Raises:
            OSError: the trash is there and cannot be read.
        """
        found = []
        with contextlib.suppress(FileNotFoundError), self._opened() as trash_fd:
            for identity in self._identities(trash_fd):
                item = self._read(trash_fd, identity)
                if item is not None and item.stage is Stage.DONE:
                    found.append(item)
        return sorted(found, key=lambda item: (item.manifest.at, item.id), reverse=True)

    def bytes(self) -> int:
        """What the items occupy."""
        return sum(item.manifest.size_bytes for item in self.items())

    def find(self, path_or_id: str) -> Item:
        """The newest item from a path, or the one with an id.

        Raises:
            TrashError: there is none.
            OSError: the trash cannot be read.
        """
        for item in self.items():
            if path_or_id in (item.path, item.id):
                return item
        raise TrashError(
            f"{path_or_id!r} is not in the trash of {self.root!r}: `checkpointd trash list` shows "
            "what is."
        )

    def restore(self, path_or_id: str) -> Item:
        """Put an item back where it lay; never over something.

        Raises:
            TrashError: there is no such item, or its place is taken; it stays in the trash.
            OSError: the file system refused; it stays in the trash.
        """
        item = self.find(path_or_id)
        parent = item.manifest.path.rpartition("/")[0]
        with (
            opened_root(self.root) as root_fd,
            opened_below(root_fd, parent, create=True) as parent_fd,
            self._opened_trash(root_fd) as trash_fd,
        ):
            taken = [p.name for p in item.manifest.parts if exists(p.name, parent_fd)]
            if taken:
                raise TrashError(
                    f"{item.path!r} cannot be restored, {taken[0]!r} is there again: move that "
                    "away first."
                )
            with opened(item.id, trash_fd) as item_fd:
                self._step("restore: mark")
                moving.mark(item_fd, Stage.DONE, Stage.RESTORING)
                try:
                    moving.move_back(item_fd, parent_fd, item.manifest, self._step)
                except OSError as error:
                    moving.move_in_again(item_fd, parent_fd, item.manifest)
                    moving.mark(item_fd, Stage.RESTORING, Stage.DONE)
                    if isinstance(error, FileExistsError):
                        raise TrashError(
                            f"{item.path!r} cannot be restored, something came to lie there."
                        ) from None
                    raise
            self._step("restore: discard")
            items.discard(trash_fd, item.id)
        return item

    def expire(
        self,
        now: float,
        ttl: float,
        *,
        min_free: Callable[[int], float] = min_free_bytes,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Expired:
        """Delete for good what is older than `ttl` seconds; oldest first while the disk is full.

        Args:
            now: seconds since the epoch.
            ttl: in seconds.
            min_free: of a disk's size the bytes below which it is nearly full.
            stopped: asked before each item; nothing more is deleted once it says yes.
        """
        deleted: list[Deleted] = []
        troubles: list[str] = []
        try:
            for item in reversed(self.items()):
                reason = self._reason_to_delete(item, now, ttl, min_free)
                if not reason or stopped():
                    break
                try:
                    with self._opened() as trash_fd:
                        items.delete(trash_fd, item.id, self._step)
                    deleted.append(Deleted(item, reason))
                except OSError as error:
                    troubles.append(f"{item.id} cannot be deleted: {error.strerror}.")
        except OSError as error:
            troubles.append(f"The trash of {self.root!r} cannot be read: {error.strerror}.")
        return Expired(tuple(deleted), tuple(troubles))

    def recover(self) -> list[Recovered]:
        """Finish or undo what a crash left, and tell of every item.

        Raises:
            OSError: the root or its trash cannot be opened.
        """
        found = []
        with contextlib.suppress(FileNotFoundError), self._opened() as trash_fd:
            for identity in self._identities(trash_fd):
                try:
                    found.append(self._recover(trash_fd, identity))
                except OSError as error:
                    message = f"{identity} was left as it is: {error.strerror}."
                    found.append(Recovered(identity, "unclear", None, message))
        return found

    def relative(self, path: str) -> str:
        """A path below the root, as seen from there.

        Raises:
            TrashError: it does not lie below the root.
        """
        start = self.root.rstrip("/") + "/"
        relative = path[len(start) :]
        if not path.startswith(start) or not relative:
            raise TrashError(f"{path!r} does not lie below {self.root!r}.")
        return relative

    def _move_in(
        self,
        entry: Entry,
        manifest: Manifest,
        parent_fd: int,
        item_fd: int,
        guard: Callable[[], None],
    ) -> None:
        name = manifest.path.rpartition("/")[2]
        self._step("guard")
        guard()
        if tuple(parts_of(parent_fd, name, entry.checkpoint, entry.generation)) != manifest.parts:
            raise NotUnchangedError("it changed while it was looked at")
        try:
            moving.move_in(item_fd, parent_fd, manifest, self._step)
            self._step("guard again")
            guard()
        except BaseException:
            moving.move_back(item_fd, parent_fd, manifest, self._step)
            raise
        self._step("mark")
        moving.mark(item_fd, Stage.MOVING, Stage.DONE)

    def _recover(self, trash_fd: int, identity: str) -> Recovered:
        item = self._read(trash_fd, identity)
        if item is None:
            if items.discard(trash_fd, identity):
                return Recovered(identity, "undone")
            message = f"{identity} has no manifest that can be read; it was left as it is."
            return Recovered(identity, "unclear", None, message)
        if item.stage is Stage.DELETING:
            items.delete(trash_fd, identity, self._step)
            return Recovered(identity, "deleted", item)
        if item.stage is Stage.DONE:
            return Recovered(identity, "moved", item)
        parent = item.manifest.path.rpartition("/")[0]
        with (
            opened_root(self.root) as root_fd,
            opened_below(root_fd, parent, create=True) as parent_fd,
            opened(identity, trash_fd) as item_fd,
        ):
            items.keep_content(item_fd)
            settle = moving.finish if item.stage is Stage.MOVING else moving.finish_restoring
            is_back = settle(item_fd, parent_fd, item.manifest, self._step)
            if not is_back:
                moving.mark(item_fd, item.stage, Stage.DONE)
                return Recovered(identity, "moved", item)
        items.discard(trash_fd, identity)
        return Recovered(identity, "undone" if item.stage is Stage.MOVING else "restored", item)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[int]:
        with opened_root(self.root) as root_fd, opened(TRASH, root_fd) as trash_fd:
            yield trash_fd

    @contextlib.contextmanager
    def _opened_trash(self, root_fd: int) -> Iterator[int]:
        try:
            os.mkdir(TRASH, 0o700, dir_fd=root_fd)
            os.fsync(root_fd)
        except FileExistsError:
            pass
        with opened(TRASH, root_fd) as trash_fd:
            yield trash_fd

    def _identities(self, trash_fd: int) -> list[str]:
        with os.scandir(trash_fd) as listed:
            return sorted(e.name for e in listed if e.is_dir(follow_symlinks=False))

    def _read(self, trash_fd: int, identity: str) -> Item | None:
        with opened(identity, trash_fd) as item_fd:
            found = read_manifest(item_fd)
        if found is None:
            return None
        stage, manifest = found
        return Item(identity, f"{self.root.rstrip('/')}/{manifest.path}", stage, manifest)

    def _reason_to_delete(
        self, item: Item, now: float, ttl: float, min_free: Callable[[int], float]
    ) -> str:
        if now - item.manifest.at > ttl:
            return f"it has been in the trash for longer than trash_ttl = {exact_duration(ttl)}"
        usage = shutil.disk_usage(self.root)
        if usage.free < min_free(usage.total):
            share = 100 * usage.free / usage.total
            return f"the disk is nearly full: {size(usage.free)} are free ({share:.1f} %)"
        return ""
