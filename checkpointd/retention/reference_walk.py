"""One directory tree and the references in it, as last read: symbolic links and state files."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from checkpointd.formats import state_file
from checkpointd.formats.names import OWN_DIRECTORIES, is_temporary_file
from checkpointd.retention.serving_config import ServedModel, may_be_one, named_versions
from checkpointd.retention.state_references import StateReferences, read_state_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Stamp = tuple[int, int, int, int]

_RECENT_NS = 2_000_000_000
_INDEX = ".index"
_NO_STATE_FILES = (_INDEX, ".meta", ".h5", ".keras", ".npz", ".pb")
_SHARD = ".data-"


@dataclass
class _StateFile:
    """One state file: its identity when it was read, and what it names."""

    stamp: Stamp | None = None
    references: StateReferences = field(default_factory=StateReferences)


@dataclass
class _Directory:
    """What one directory held when it was listed.

    `identity` is its device and inode. `stamp` is None if it must be listed again, because it has
    changed so recently that the next change may have the same time, or because it could not be
    listed. `others` are files that are no state files, by name, with their inodes.
    """

    identity: tuple[int, int] = (0, 0)
    stamp: Stamp | None = None
    below: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    states: dict[str, _StateFile] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)
    is_empty: bool = True
    error: str = ""


class Walk:
    """A directory and everything below it; no link is followed, except the directory itself.

    Args:
        top: the directory, absolute.
        may_be_missing: whether it need not exist.
        most: as many directories are searched at most; more are an error. None: all of them.
    """

    def __init__(self, top: str, *, may_be_missing: bool = False, most: int | None = None) -> None:
        self.top = top
        self._may_be_missing = may_be_missing
        self._most = most
        self._directories: dict[str, _Directory] = {}
        self._error = ""

    def sweep(self) -> None:
        """List again what has changed."""
        directories: dict[str, _Directory] = {}
        left = [self.top]
        self._error = ""
        while left:
            path = left.pop()
            directory = self._listed(path)
            if directory is None:
                continue
            if self._most is not None and len(directories) >= self._most:
                self._error = f"{self.top!r} holds more than {self._most} directories"
                break
            directories[path] = directory
            self.read_states(path, known=directory)
            left.extend(directory.below)
        self._directories = directories

    def read_states(
        self, path: str, appeared: str = "", *, known: _Directory | None = None
    ) -> None:
        """Read the state files of a directory that may have changed since they were read.

        Args:
            path: the directory; nothing is read if it is not known.
            appeared: a name that may be new since the directory was listed.
            known: the directory, while it is being walked.
        """
        directory = known or self._directories.get(path)
        if directory is None:
            return
        if appeared:
            directory.states.setdefault(appeared, _StateFile())
        for name, state in list(directory.states.items()):
            file = f"{path.rstrip('/')}/{name}"
            try:
                stamp = _stamp(os.stat(file))
            except OSError:
                stamp = None
            if stamp is None or state.stamp != stamp:
                settled = stamp if stamp is not None and _is_settled(stamp) else None
                read = directory.states[name] = _StateFile(
                    settled, read_state_file(file, must_be_one=name == state_file.NAME)
                )
                if settled and not read.references.is_state_file and name != state_file.NAME:
                    directory.others[name] = settled[1]
                    del directory.states[name]

    def links(self) -> Iterator[str]:
        """The symbolic links."""
        for directory in self._directories.values():
            yield from directory.links

    def states(self) -> Iterator[tuple[str, StateReferences]]:
        """The state files and what they name."""
        for path, directory in self._directories.items():
            for name, state in directory.states.items():
                yield f"{path.rstrip('/')}/{name}", state.references

    def versions(self, model: ServedModel) -> Iterator[str]:
        """The versions of a model that a config of TensorFlow Serving names."""
        for path, directory in self._directories.items():
            if os.path.basename(path) == model.directory:
                yield from named_versions(model, directory.below)

    def errors(self) -> tuple[str, ...]:
        """A message for each directory that could not be searched."""
        messages = [d.error for d in self._directories.values() if d.error]
        return (*messages, self._error) if self._error else tuple(messages)

    @property
    def is_empty(self) -> bool:
        """Whether there is no file and no link in it."""
        return all(d.is_empty for d in self._directories.values())

    def identities(self) -> dict[tuple[int, int], str]:
        """Each directory by its device and inode."""
        return {d.identity: path for path, d in self._directories.items() if not d.error}

    def _listed(self, path: str) -> _Directory | None:
        """A directory as it is now, from what is known if it has not changed; None if gone."""
        is_top = path == self.top
        known = self._directories.get(path)
        try:
            stamp = _stamp(os.stat(path, follow_symlinks=is_top))
            if known is not None and known.stamp == stamp:
                return known
            listed = self._list(path, known or _Directory())
        except (FileNotFoundError, NotADirectoryError):
            if not is_top or self._may_be_missing:
                return None
            return _Directory(error=f"{path!r} does not exist")
        except OSError as error:
            return _Directory(error=f"{path!r} cannot be listed ({error.strerror})")
        listed.identity = stamp[:2]
        listed.stamp = stamp if _is_settled(stamp) else None
        return listed

    def _list(self, path: str, known: _Directory) -> _Directory:
        below, links, files = list[str](), list[str](), dict[str, int]()
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if path != self.top or entry.name not in OWN_DIRECTORIES:
                        below.append(entry.path)
                    continue
                if entry.is_symlink():
                    links.append(entry.path)
                files[entry.name] = entry.inode()
        names = possible_state_files(files, os.path.basename(path))
        others = {n: files[n] for n in names if known.others.get(n) == files[n]}
        states = {n: known.states.get(n, _StateFile()) for n in names if n not in others}
        return _Directory(
            below=tuple(below), links=tuple(links), states=states, others=others, is_empty=not files
        )


def possible_state_files(files: Mapping[str, object], directory: str) -> list[str]:
    """The names that may be state files: of any name where TensorFlow checkpoints are.

    So may be the configs of TensorFlow Serving, anywhere.
    """
    has_bundles = any(name.endswith(_INDEX) for name in files)
    return [
        name
        for name in files
        if (has_bundles or name.startswith(state_file.NAME) or may_be_one(name))
        and not name.endswith(_NO_STATE_FILES)
        and _SHARD not in name
        and not is_temporary_file(name, directory)
    ]


def _is_settled(stamp: Stamp) -> bool:
    """Whether the last change is old enough for the next one to have a different time."""
    return time.time_ns() - max(stamp[2:]) > _RECENT_NS


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns
