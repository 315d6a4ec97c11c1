"""Which directories lie below a root, and which checkpoints each of them held when last listed.

With it an event costs the listing of one directory, not of all; a full walk renews it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from checkpointd.formats import LOCAL, Stat
from checkpointd.formats.state_file import NAME as STATE_FILE
from checkpointd.watch.scan import Listing, below, look, stems_in, walk

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from checkpointd.watch.globs import Selection


class DirectoryTree:
    """The directories of one watch; used from its thread only.

    `errors` maps a directory that could not be listed to why. What is below it is not judged.
    """

    def __init__(self, root: str, selection: Selection) -> None:
        self._root = root
        self._selection = selection
        self._nodes: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        self._stems: dict[str, tuple[Stat, frozenset[str]]] = {}
        self.errors: dict[str, OSError] = {}

    @property
    def directories(self) -> tuple[str, ...]:
        """Every directory that was listed."""
        return tuple(self._nodes)

    def __len__(self) -> int:
        return len(self._nodes)

    def forget(self) -> None:
        """Know nothing any more."""
        self._nodes.clear()
        self.errors.clear()

    def stems(self, directory: str) -> frozenset[str]:
        """What versions begin with in a directory, by its `checkpoint` state file."""
        known = self._stems.get(directory)
        return frozenset() if known is None else known[1]

    def learn_stems(self, listing: Listing) -> bool:
        """Read the state file of a directory if it has changed; whether it says anything else."""
        before = self.stems(listing.directory)
        seen = _look_at_state_file(listing) if listing.managed else None
        if seen is None:
            self._stems.pop(listing.directory, None)
        elif (known := self._stems.get(listing.directory)) is None or known[0] != seen:
            self._stems[listing.directory] = seen, stems_in(listing.directory)
        return self.stems(listing.directory) != before

    def hidden(self, path: str) -> bool:
        """Whether a path lies below a directory that could not be listed."""
        return any(path == d or path.startswith(d + "/") for d in self.errors)

    def reconcile(self) -> Iterator[Listing]:
        """List everything anew, one directory at a time."""
        before = self._nodes
        self._nodes, self.errors = {}, {}
        for listing in walk(self._root, self._root, self._selection):
            self._keep(listing)
            yield listing
        if self.errors:
            self._nodes.update(
                (d, node) for d, node in before.items() if d not in self._nodes and self.hidden(d)
            )

    def touched_by(
        self, files: Iterable[str], directories: Iterable[str], asked: Iterable[str] = ()
    ) -> dict[str, bool]:
        """Say which directories are to be listed because of events.

        Args:
            files: files that something happened to.
            directories: directories that something happened to.
            asked: checkpoints that are to be found; a SavedModel is found in its own directory.

        Returns:
            The directories, parents first; true for those to be walked with all below them.
        """
        wanted: dict[str, bool] = {}
        for path in files:
            self._want(wanted, path)
        for path in directories:
            self._want(wanted, path)
            if path in self._nodes:
                wanted[path] = True
        for path in asked:
            if path in self._nodes:
                wanted.setdefault(path, False)
        return dict(sorted(wanted.items()))

    def _want(self, wanted: dict[str, bool], path: str) -> None:
        relative = below(self._root, path)
        if relative == path or not relative:
            wanted.setdefault(self._root, False)
            return
        directory = os.path.dirname(path)
        while directory not in self._nodes and len(directory) > len(self._root):
            directory = os.path.dirname(directory)
        wanted.setdefault(directory, False)
        # A directory becomes a SavedModel by what appears in its variables/.
        if os.path.basename(directory) == "variables" and directory != self._root:
            wanted.setdefault(os.path.dirname(directory), False)

    def refresh(self, wanted: dict[str, bool]) -> Iterator[Listing]:
        """List some directories, and walk into those that are new; see `lost`."""
        for directory, deep in wanted.items():
            if directory != self._root and directory not in self._nodes:
                continue
            todo = [(directory, deep)]
            while todo:
                at, walk_on = todo.pop()
                listing = look(at, self._root, self._selection)
                if at != self._root and _is_away(listing.error):
                    self._drop(at)
                    continue
                known = set(self._nodes.get(at, ((), ()))[1])
                self._keep(listing)
                yield listing
                if listing.error is None:
                    for child in known.difference(listing.descend):
                        self._drop(child)
                    todo += [
                        (d, walk_on) for d in listing.descend if walk_on or d not in self._nodes
                    ]

    def paths(self, directories: Iterable[str]) -> Iterator[str]:
        """The checkpoints that some directories, and all below them, held when last listed."""
        for top in directories:
            for directory in self._below(top):
                yield from self._nodes[directory][0]

    def _below(self, top: str) -> Iterator[str]:
        todo = [top]
        while todo:
            at = todo.pop()
            node = self._nodes.get(at)
            if node is not None:
                yield at
                todo.extend(node[1])

    def _keep(self, listing: Listing) -> None:
        if listing.error is not None:
            if not _is_away(listing.error) or listing.directory == self._root:
                self.errors[listing.directory] = listing.error
            return
        self.errors.pop(listing.directory, None)
        self._nodes[listing.directory] = (
            tuple(found.path for found in listing.found),
            listing.descend,
        )

    def _drop(self, top: str) -> None:
        for directory in list(self._below(top)):
            del self._nodes[directory]
            self._stems.pop(directory, None)


def _look_at_state_file(listing: Listing) -> Stat | None:
    try:
        return LOCAL.stat(os.path.join(listing.directory, STATE_FILE))
    except OSError:
        return None


def _is_away(error: OSError | None) -> bool:
    return isinstance(error, FileNotFoundError | NotADirectoryError)
