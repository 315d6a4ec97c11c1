"""Where the trash of a root is: inside the root, or in a directory of its own beside others."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.formats.names import TRASH
from checkpointd.ledger import KnownTrash
from checkpointd.retention.files import opened_root
from checkpointd.retention.trash import access
from checkpointd.retention.trees import opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.config import WatchSettings

_LABEL_LENGTH = 40


@dataclass(frozen=True)
class TrashPlace:
    """The trash of one root.

    `directory` is the one that holds the items, and `mode` the permissions that it and the items
    get; None: those of the directories that the checkpoints were in.
    """

    root: str
    directory: str
    mode: int | None = None

    @property
    def is_inside(self) -> bool:
        """Whether it is inside the root, where it goes wherever the root goes."""
        return self.directory == f"{self.root.rstrip('/')}/{TRASH}"

    @contextlib.contextmanager
    def opened(self) -> Iterator[int]:
        """Open the directory of the trash.

        Raises:
            FileNotFoundError: there is none.
            OSError: it cannot be opened.
        """
        if self.is_inside:
            with opened_root(self.root) as root_fd, opened(TRASH, root_fd) as trash_fd:
                yield trash_fd
        else:
            with opened(self.directory) as trash_fd:
                yield trash_fd

    @contextlib.contextmanager
    def created(self, root_fd: int) -> Iterator[int]:
        """Open the directory of the trash of an open root; it is created if there is none.

        Raises:
            OSError: it can be neither opened nor created.
        """
        if self.is_inside:
            with self._created_in(root_fd, TRASH, root_fd) as trash_fd:
                yield trash_fd
        else:
            above, name = os.path.split(self.directory)
            os.makedirs(above, mode=0o711, exist_ok=True)
            with opened_root(above) as above_fd, self._created_in(above_fd, name, root_fd) as file:
                yield file

    def access_of(self, root_fd: int, relative: str) -> access.Access:
        """Who may do what in the item of a checkpoint whose directory is `relative` to the root."""
        if self.mode is not None:
            return access.Access(self.mode)
        outside = () if self.is_inside else access.ancestors(self.root)
        return access.inherited(root_fd, relative, outside)

    @contextlib.contextmanager
    def _created_in(self, above_fd: int, name: str, root_fd: int) -> Iterator[int]:
        try:
            os.mkdir(name, 0o700, dir_fd=above_fd)
            os.fsync(above_fd)
        except FileExistsError:
            pass
        with opened(name, above_fd) as trash_fd:
            found, wanted = os.fstat(trash_fd), self.access_of(root_fd, "")
            if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) != wanted.mode:
                access.give(trash_fd, wanted)
            yield trash_fd


def place_of(watch: WatchSettings) -> TrashPlace:
    """Where the trash of a watch is."""
    mode = watch.retention.trash_mode
    return trash_place(
        str(watch.path),
        str(watch.retention.trash_dir or ""),
        None if mode == "inherit" else int(mode, 8),
    )


def known_trash(watch: WatchSettings) -> KnownTrash:
    """What the ledger is to know of the trash of a watch, should that leave the config."""
    policy, place = watch.retention, place_of(watch)
    return KnownTrash(place.directory, place.root, watch.name, policy.trash_ttl, policy.mode)


def trash_place(root: str, trash_dir: str = "", mode: int | None = None) -> TrashPlace:
    """Where the trash of a root is: in `trash_dir`, below a name of its own; or in the root."""
    root = root.rstrip("/") or "/"
    if not trash_dir:
        return TrashPlace(root, f"{root.rstrip('/')}/{TRASH}", mode)
    label = re.sub(r"[^A-Za-z0-9_.-]", "_", root.rpartition("/")[2])[-_LABEL_LENGTH:]
    digest = hashlib.sha256(os.fsencode(root)).hexdigest()[:12]
    return TrashPlace(root, f"{trash_dir.rstrip('/')}/{label}-{digest}", mode)
