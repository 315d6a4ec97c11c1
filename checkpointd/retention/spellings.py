"""Translates other names of paths below a root into paths below the root."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class Spellings:
    """Turns names into paths below a root.

    Args:
        root: the root, which may be reached by links.
        directories: the directories below the root by device and inode, so that a name that leads
            through another mount of the same file system is recognised.
    """

    def __init__(self, root: str, directories: Mapping[tuple[int, int], str] | None = None) -> None:
        self._root = root.rstrip("/")
        self._real_root = os.path.realpath(root).rstrip("/")
        self._directories = directories or {}
        self._real: dict[str, str] = {}
        self._mounted: dict[str, str] = {}

    def of_links(self, paths: Iterable[str]) -> Iterator[str]:
        """Each path as it is and with all links followed, also as they read below the root."""
        for path in paths:
            yield from self._below(os.path.normpath(path))
            real = os.path.realpath(path)
            yield from self._below(real)
            if mounted := self._of_directory(real):
                yield mounted

    def of_names(self, paths: Iterable[str]) -> Iterator[str]:
        """The same for many paths that are no links themselves: only their directories may be."""
        for path in paths:
            parent, _, name = os.path.normpath(path).rpartition("/")
            yield from self._below(f"{parent}/{name}")
            if parent not in self._real:
                self._real[parent] = os.path.realpath(parent)
            yield from self._below(f"{self._real[parent].rstrip('/')}/{name}")

    def _below(self, name: str) -> Iterator[str]:
        yield name
        for base in (self._real_root, self._root):
            if name.startswith(base + "/"):
                yield f"{self._root}/{name[len(base) + 1 :]}"
                return
        parent, _, last = name.rpartition("/")
        mounted = self._of_directory(parent)
        if mounted:
            yield f"{mounted}/{last}"

    def _of_directory(self, path: str) -> str:
        """The directory below the root that a path outside leads to; empty if to none."""
        known = self._mounted.get(path)
        if known is not None:
            return known
        below = ""
        if path and self._directories:
            with contextlib.suppress(OSError):
                status = os.stat(path)
                below = self._directories.get((status.st_dev, status.st_ino), "")
            if not below:
                parent, _, last = path.rpartition("/")
                above = self._of_directory(parent)
                below = f"{above}/{last}" if above else ""
        self._mounted[path] = below
        return below
