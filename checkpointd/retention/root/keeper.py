"""Inspects the records of a root before each round of pruning, and keeps them up to date."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Any

from checkpointd.formats.names import ROOT_RECORDS
from checkpointd.retention.files import opened_root
from checkpointd.retention.root import owner, pin_copy, trash_place
from checkpointd.retention.root.doubts import RootDoubts
from checkpointd.retention.root.importing import import_records
from checkpointd.retention.root.inspection import (
    doubts_about,
    read_records,
    trash_doubt,
    unreadable,
)
from checkpointd.retention.root.lock import RootLock
from checkpointd.retention.root.nested import pruned_above, pruned_below
from checkpointd.retention.root.record_file import (
    RecordFile,
    created_records,
    write,
)
from checkpointd.retention.trash import TrashItem, pruned_of, unknown_items

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from checkpointd.retention.root.records import RootLedger
    from checkpointd.retention.trash import TrashPlace

_NEEDLESS = (errno.EROFS, errno.ENOSPC, errno.EDQUOT)
"""Nothing can be moved on a read-only disk; on a full one pruning is needed most."""


class RootKeeper:
    """The records of one root, for code that may remove checkpoints there; used in one thread.

    `problem` is why the records could not be written, empty if they could.

    Args:
        watch: the watch's name.
        place: its root, and where the trash of that is.
        records: the ledger.
        on_step: called with the name of each step before it; for fault injection.
    """

    def __init__(
        self,
        watch: str,
        place: TrashPlace,
        records: RootLedger,
        *,
        on_step: Callable[[str], None] | None = None,
    ) -> None:
        self.problem = ""
        self._watch = watch
        self._place = place
        self._root = place.root
        self._records = records
        self._step = on_step or (lambda _: None)
        self._lock = RootLock(self._root)
        self._begun = False
        self._written = ""

    def forget(self) -> None:
        """Inspect everything again: another root may be mounted here next."""
        self._begun = False
        self._written = ""

    @contextlib.contextmanager
    def locked(self, *, enforce: bool = False) -> Iterator[str]:
        """Keep other processes from removing anything here; gives a sentence if one does."""
        try:
            holder = self._acquire(enforce=enforce)
            yield holder
        finally:
            self._lock.release()

    def synchronize(self, holder: str, *, enforce: bool) -> RootDoubts:
        """Import the root's records, and with `enforce` bring them up to date.

        Args:
            holder: what `locked` gave.
            enforce: whether checkpoints are removed here.
        """
        try:
            files = read_records(self._root)
            self._begin()
        except OSError as error:
            return RootDoubts(pins=unreadable(self._root, error))
        if not holder:
            self._find_trash(files[trash_place.NAME])
        import_records(self._watch, self._root, self._records, files, written=self._written)
        doubts = doubts_about(
            self._watch,
            self._root,
            self._records,
            files,
            trash=trash_doubt(self._place, self._records),
            holder=holder,
            written=self._written,
        )
        if enforce and not (doubts.rebuilt or doubts.pins or doubts.locked):
            self._write(files)
        return doubts

    def doubts_below(self, paths: Iterable[str]) -> RootDoubts | None:
        """Doubts because a directory between the root and some paths is pruned as well."""
        holder = pruned_below(self._root, paths, self._records.identity)
        return RootDoubts(locked=holder) if holder else None

    def accept(self) -> list[TrashItem]:
        """Record that a person accepts the ledger as it is now, so that pruning continues.

        Returns:
            What is in the trash and was not known.

        Raises:
            OSError: the root cannot be read.
        """
        files = read_records(self._root)
        items = unknown_items(self._place, self._records)
        digests = {name: file.digest for name, file in files.items() if file is not None}
        self._records.accept(self._watch, digests, [pruned_of(item) for item in items])
        self._written = ""
        return items

    def _begin(self) -> None:
        if not self._begun:
            status = os.stat(self._root)
            self._records.begin_root(self._watch, self._root, status.st_dev, status.st_ino)
            self._begun = True

    def _acquire(self, *, enforce: bool) -> str:
        self.problem = ""
        try:
            create = enforce and _has_content(self._root)
            return self._lock.acquire(create=create) or (
                pruned_above(self._root, self._records.identity) if enforce else ""
            )
        except OSError as error:
            self.problem = (
                f"{self._root}/{ROOT_RECORDS} cannot be written: {error.strerror}; pins are only "
                "in the ledger."
            )
            if not enforce or error.errno in _NEEDLESS or not os.access(self._root, os.W_OK):
                return ""
            return (
                f"{self._root}/{ROOT_RECORDS}/lock cannot be opened ({error.strerror}), so another "
                "checkpointd may be pruning here."
            )

    def _find_trash(self, file: RecordFile | None) -> None:
        try:
            before = trash_place.adopt(self._place, file, self._records.trashes())
        except OSError as error:
            self.problem = (
                f"The trash of {self._root} is still called as when its path was another, and "
                f"cannot be renamed: {error.strerror}."
            )
            return
        if before:
            self._records.forget_trash(before)

    def _write(self, files: dict[str, RecordFile | None]) -> None:
        try:
            with opened_root(self._root) as root_fd:
                if not _has_content(self._root):
                    return
                with created_records(root_fd) as records_fd:
                    self._write_if_new(records_fd, pin_copy.NAME, files, self._pins())
                    written = self._write_if_new(records_fd, owner.NAME, files, self._owner())
                    self._written = written.digest
                    if not self._place.is_inside:
                        body = trash_place.body_of(self._place)
                        self._write_if_new(records_fd, trash_place.NAME, files, body)
        except OSError as error:
            self.problem = (
                f"{self._root}/{ROOT_RECORDS} cannot be written: {error.strerror}; pins are only "
                "in the ledger."
            )

    def _write_if_new(
        self,
        records_fd: int,
        name: str,
        files: dict[str, RecordFile | None],
        body: dict[str, Any],
    ) -> RecordFile:
        before = files[name]
        if before is not None and before.body == body:
            return before
        return write(records_fd, name, body, self._step)

    def _pins(self) -> dict[str, Any]:
        return pin_copy.body_of(self._root, self._records.pins_below(self._root))

    def _owner(self) -> dict[str, Any]:
        return owner.Owner.of(self._records.identity, self._records.progress).body()


def _has_content(root: str) -> bool:
    """Whether anything else is in a root; an empty one may be a mount point without its mount."""
    with os.scandir(root) as entries:
        return any(entry.name != ROOT_RECORDS for entry in entries)
