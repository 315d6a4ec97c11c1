"""The root directory of a watch: whether it is there, and whether it is still the same."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from checkpointd.formats.names import ROOT_RECORDS
from checkpointd.watch.scan import explain

if TYPE_CHECKING:
    from pathlib import Path

Identity = tuple[int, int]
"""Device and inode."""


class Root:
    """The root of one watch; used from its thread only.

    A root may be missing, may be replaced by another directory of the same name, and may be an
    empty mount point whose file system is not mounted.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = os.fspath(path)
        self._identity: Identity | None = None
        self._had_content: Identity | None = None

    def find(self) -> str:
        """Look for the root; return a sentence if it is missing, or empty."""
        try:
            status = os.stat(self.path)
        except FileNotFoundError:
            self._identity = None
            return f"{self.path!r} does not exist yet; waiting for it."
        except OSError as error:
            self._identity = None
            return explain(self.path, error)
        if not stat.S_ISDIR(status.st_mode):
            self._identity = None
            return f"{self.path!r} is not a directory; waiting for one."
        self._identity = (status.st_dev, status.st_ino)
        return ""

    @property
    def identity(self) -> Identity | None:
        """The identity of the directory that `find` has found; None without one."""
        return self._identity

    def is_unchanged(self) -> bool:
        """Whether the directory is still the one that was found: it may have been unmounted."""
        try:
            status = os.stat(self.path)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._identity

    def mark_content(self) -> None:
        """Record that this directory was listed and not suspected to be unmounted."""
        self._had_content = self._identity

    def may_be_unmounted(self) -> bool:
        """Whether the root is empty and is not the directory whose content is known."""
        if self._had_content == self._identity:
            return False
        try:
            with os.scandir(self.path) as entries:
                return all(entry.name == ROOT_RECORDS for entry in entries)
        except OSError:
            return True
