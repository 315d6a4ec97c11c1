"""The directories below a root, and the checkpoints that each held when it was last listed.

With it an event costs the listing of one directory instead of all; a full walk renews it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.formats import LOCAL
from checkpointd.formats.state_file import NAME as STATE_FILE
from checkpointd.formats.unfinished import is_part_of_one_beside
from checkpointd.watch.links import links_out_of
from checkpointd.watch.scan import Listing, list_directory, read_stems, relative_to, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from checkpointd.formats import Stat, Storage
    from checkpointd.watch.globs import Selection


@dataclass(frozen=True)
class _Node:
    """A directory as it was last listed: paths of checkpoints, and of subdirectories to walk.

    `leaving` are links to what is outside the root.
    """

    checkpoints: tuple[str, ...]
    subdirectories: tuple[str, ...]
    leaving: tuple[str, ...] = ()


@dataclass(frozen=True)
class _StateFile:
    """A `checkpoint` state file as it was last read."""

    stat: Stat
    stems: frozenset[str]


class DirectoryTree:
    """The directories of one watch; used from its thread only.

    `errors` maps a directory that could not be listed to the error. Nothing is decided about what
    is below it.
    """

    def __init__(self, root: str, selection: Selection, storage: Storage = LOCAL) -> None:
        self._root = root
        self._storage = storage
        self._selection = selection
        self._nodes: dict[str, _Node] = {}
        self._state_files: dict[str, _StateFile] = {}
        self.errors: dict[str, OSError] = {}

    @property
    def directories(self) -> tuple[str, ...]:
        """Every directory that was listed."""
        return tuple(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def stems(self, directory: str) -> frozenset[str]:
        """Return the prefixes of versions in a directory, from its `checkpoint` state file."""
        state_file = self._state_files.get(directory)
        return frozenset() if state_file is None else state_file.stems

    def read_state_file(self, listing: Listing) -> bool:
        """Read the state file of a directory if it has changed; return whether its stems have."""
        directory = listing.directory
        before = self.stems(directory)
        stat = self._state_file_stat(directory) if listing.managed else None
        if stat is None:
            self._state_files.pop(directory, None)
        elif (known := self._state_files.get(directory)) is None or known.stat != stat:
            self._state_files[directory] = _StateFile(stat, read_stems(directory, self._storage))
        return self.stems(directory) != before

    def links_leaving(self) -> list[str]:
        """Return the links to directories or checkpoints outside the root: none is followed."""
        return [link for node in self._nodes.values() for link in node.leaving]

    def is_unreadable(self, path: str) -> bool:
        """Whether a path is in or below a directory that could not be listed."""
        return any(path == d or path.startswith(d + "/") for d in self.errors)

    def reconcile(self) -> Iterator[Listing]:
        """List everything again, one directory at a time."""
        before = self._nodes
        self._nodes, self.errors = {}, {}
        for listing in walk(self._root, self._root, self._selection, self._storage):
            self._store(listing)
            yield listing
        if self.errors:
            self._nodes.update(
                (directory, node)
                for directory, node in before.items()
                if directory not in self._nodes and self.is_unreadable(directory)
            )

    def directories_to_list(
        self, files: Iterable[str], directories: Iterable[str], requested: Iterable[str] = ()
    ) -> dict[str, bool]:
        """Return which directories have to be listed because of events.

        Args:
            files: files that something happened to.
            directories: directories that something happened to.
            requested: checkpoints to find; a SavedModel is found in its own directory.

        Returns:
            The directories, parents first; true for those to be walked with all below them.
        """
        wanted: dict[str, bool] = {}
        for path in files:
            self._add_parent(wanted, path)
        for path in directories:
            self._add_parent(wanted, path)
            if path in self._nodes:
                wanted[path] = True
        for path in requested:
            if path in self._nodes:
                wanted.setdefault(path, False)
        return dict(sorted(wanted.items()))

    def _add_parent(self, wanted: dict[str, bool], path: str) -> None:
        relative = relative_to(self._root, path)
        if relative == path or not relative:
            wanted.setdefault(self._root, False)
            return
        directory = os.path.dirname(path)
        while directory not in self._nodes and len(directory) > len(self._root):
            directory = os.path.dirname(directory)
        wanted.setdefault(directory, False)
        # A directory becomes a SavedModel when files appear in its variables/, and PREFIX_temp/
        # holds the first files of PREFIX.
        if directory != self._root and is_part_of_one_beside(os.path.basename(directory)):
            wanted.setdefault(os.path.dirname(directory), False)

    def refresh(self, wanted: dict[str, bool]) -> Iterator[Listing]:
        """List some directories, and walk into those that are new; see `directories_to_list`."""
        for directory, deep in wanted.items():
            if directory != self._root and directory not in self._nodes:
                continue
            todo = [(directory, deep)]
            while todo:
                at, walk_on = todo.pop()
                listing = list_directory(at, self._root, self._selection, self._storage)
                if at != self._root and _is_missing(listing.error):
                    self._drop(at)
                    continue
                node = self._nodes.get(at)
                known = set(node.subdirectories) if node is not None else set()
                self._store(listing)
                yield listing
                if listing.error is None:
                    for child in known.difference(listing.subdirectories):
                        self._drop(child)
                    todo += [
                        (subdirectory, walk_on)
                        for subdirectory in listing.subdirectories
                        if walk_on or subdirectory not in self._nodes
                    ]

    def paths(self, directories: Iterable[str]) -> Iterator[str]:
        """Yield the checkpoints that directories, and all below them, held when last listed."""
        for top in directories:
            for directory in self._subtree(top):
                yield from self._nodes[directory].checkpoints

    def _subtree(self, top: str) -> Iterator[str]:
        todo = [top]
        while todo:
            at = todo.pop()
            node = self._nodes.get(at)
            if node is not None:
                yield at
                todo.extend(node.subdirectories)

    def _store(self, listing: Listing) -> None:
        if listing.error is not None:
            if not _is_missing(listing.error) or listing.directory == self._root:
                self.errors[listing.directory] = listing.error
            return
        self.errors.pop(listing.directory, None)
        self._nodes[listing.directory] = _Node(
            tuple(candidate.path for candidate in listing.candidates),
            listing.subdirectories,
            links_out_of(self._root, listing.links),
        )

    def _state_file_stat(self, directory: str) -> Stat | None:
        try:
            return self._storage.stat(os.path.join(directory, STATE_FILE))
        except OSError:
            return None

    def _drop(self, top: str) -> None:
        for directory in list(self._subtree(top)):
            del self._nodes[directory]
            self._state_files.pop(directory, None)


def _is_missing(error: OSError | None) -> bool:
    return isinstance(error, FileNotFoundError | NotADirectoryError)
