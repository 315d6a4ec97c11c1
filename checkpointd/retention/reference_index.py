"""The references below a root, walked once and then kept current while checkpoints are moved.

A new link or state file changes the modification time of its directory, so a sweep lists again
only directories that changed, reads again only state files that changed, and follows every known
link again. A sweep costs a `stat` for each directory. It is made before and after each move, as
long as sweeps take no more than a quarter of the time; else only the state files beside the
checkpoint are read, and the sweep at the end of the round finds what came in between.
"""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from checkpointd.formats import state_file
from checkpointd.formats.names import TRASH
from checkpointd.retention.references import References, find_linked, named_by_state, spellings

if TYPE_CHECKING:
    from collections.abc import Iterator

    Stamp = tuple[int, int, int, int]

_SWEEP_SHARE = 3.0
_RECENT_NS = 2_000_000_000


@dataclass
class _StateFile:
    """One state file: its identity when it was read, the paths that it names, or an error."""

    stamp: Stamp | None = None
    named: tuple[str, ...] = ()
    error: str = ""


@dataclass
class _Directory:
    """What one directory held when it was listed.

    `stamp` is None if it must be listed again, because it has changed so recently that the next
    change may have the same time, or because it could not be listed.
    """

    stamp: Stamp | None = None
    below: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    states: dict[str, _StateFile] = field(default_factory=dict)
    is_empty: bool = True
    error: str = ""


def find_references(root: str, links: str = "") -> References:
    """Search a root once for references; see `ReferenceIndex`."""
    return ReferenceIndex(root, links).sweep()


class ReferenceIndex:
    """The references below a root; thread-safe, for one round.

    An empty or unreadable root is an error: it is more likely not mounted than not used.

    Args:
        root: the root, which is not walked before the first call.
        links: another directory with links that count as well; it need not exist.
    """

    def __init__(self, root: str, links: str = "") -> None:
        self._root = root
        self._links = links
        self._real_root = os.path.realpath(root)
        self._directories: dict[str, _Directory] = {}
        self._current = References(frozenset(), ())
        self._lock = threading.Lock()
        self._next_sweep = 0.0

    def sweep(self) -> References:
        """Everything that is referred to now."""
        with self._lock:
            return self._sweep()

    def near(self, directory: str) -> References:
        """What is referred to now; exact for the state files of one directory.

        The rest is at most as old as three sweeps take.
        """
        with self._lock:
            if time.monotonic() >= self._next_sweep:
                return self._sweep()
            known = self._directories.get(directory)
            if known is not None:
                known.states.setdefault(state_file.NAME, _StateFile())
                self._read_states(directory, known)
                self._current = self._collect()
            return self._current

    def _sweep(self) -> References:
        began = time.monotonic()
        found: dict[str, _Directory] = {}
        left = [self._root]
        while left:
            path = left.pop()
            directory = self._listed(path)
            if directory is None:
                continue
            found[path] = directory
            self._read_states(path, directory)
            left.extend(directory.below)
        self._directories = found
        self._current = self._collect()
        ended = time.monotonic()
        self._next_sweep = ended + _SWEEP_SHARE * (ended - began)
        return self._current

    def _listed(self, path: str) -> _Directory | None:
        """A directory as it is now, from what is known if it has not changed; None if gone."""
        is_root = path == self._root
        try:
            stamp = _stamp(os.stat(path, follow_symlinks=is_root))
            known = self._directories.get(path)
            if known is not None and known.stamp == stamp:
                return known
            listed = self._list(path)
        except (FileNotFoundError, NotADirectoryError):
            return _Directory(error=f"{path!r} does not exist") if is_root else None
        except OSError as error:
            return _Directory(error=f"{path!r} cannot be listed ({error.strerror})")
        listed.stamp = stamp if _is_settled(stamp) else None
        if known is not None:
            listed.states = {n: known.states.get(n, s) for n, s in listed.states.items()}
        return listed

    def _list(self, path: str) -> _Directory:
        below, links, states = list[str](), list[str](), dict[str, _StateFile]()
        is_empty = True
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if path != self._root or entry.name != TRASH:
                        below.append(entry.path)
                    continue
                is_empty = False
                if entry.is_symlink():
                    links.append(entry.path)
                if entry.name.startswith(state_file.NAME):
                    states[entry.name] = _StateFile()
        return _Directory(None, tuple(below), tuple(links), states, is_empty)

    def _read_states(self, path: str, directory: _Directory) -> None:
        """Read the state files of a directory that may have changed since they were read."""
        for name, known in list(directory.states.items()):
            file = f"{path.rstrip('/')}/{name}"
            try:
                stamp = _stamp(os.stat(file))
            except OSError:
                stamp = None
            if stamp is None or known.stamp != stamp:
                read = directory.states[name] = self._read_state(file, name)
                read.stamp = stamp if stamp is not None and _is_settled(stamp) else None

    def _read_state(self, file: str, name: str) -> _StateFile:
        try:
            named = tuple(named_by_state(file, exact=name == state_file.NAME))
        except OSError as error:
            return _StateFile(error=f"{file!r} cannot be read ({error.strerror})")
        return _StateFile(None, named)

    def _collect(self) -> References:
        paths, errors = set(find_linked(self._links, self._root)), list[str]()
        for directory in self._directories.values():
            for named in self._named(directory):
                paths.update(spellings(named, self._root, self._real_root))
            errors.extend(e for e in (directory.error, *_errors(directory)) if e)
        if not errors and all(d.is_empty for d in self._directories.values()):
            errors.append(f"{self._root!r} is empty: is it mounted?")
        return References(frozenset(paths), tuple(errors))

    @staticmethod
    def _named(directory: _Directory) -> Iterator[str]:
        yield from directory.links
        for state in directory.states.values():
            yield from state.named


def _errors(directory: _Directory) -> Iterator[str]:
    return (state.error for state in directory.states.values())


def _is_settled(stamp: Stamp) -> bool:
    """Whether the last change is so long ago that the next one has another time."""
    return time.time_ns() - max(stamp[2:]) > _RECENT_NS


def _stamp(found: os.stat_result) -> Stamp:
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns
