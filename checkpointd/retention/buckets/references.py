"""What `checkpoint` state files in a bucket refer to; those that have changed are read again.

A bucket has no links, and nobody sees who reads an object. A state file that cannot be read holds
what it may name.
"""

from __future__ import annotations

import os
import posixpath
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.buckets import ObjectChangedError
from checkpointd.core.urls import is_url, parse_url
from checkpointd.formats import state_file
from checkpointd.formats.storage import Entry, Stat
from checkpointd.retention.reference_walk import possible_state_files
from checkpointd.retention.references import References, UnreadableStateFile
from checkpointd.retention.serving_config import may_be_one, named_versions
from checkpointd.retention.state_orders import saving_order_of
from checkpointd.retention.state_references import StateReferences, read_state_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from checkpointd.buckets.client import BucketClient, StoredObject
    from checkpointd.retention.buckets.view import BucketView
    from checkpointd.retention.serving_config import ServedModel

_TRIES = 3
_MOST_CONFIGS = 20


class BucketReferences:
    """The references to what is below a root in a bucket; thread-safe.

    Args:
        view: the listing of the root.
    """

    def __init__(self, view: BucketView) -> None:
        self._view = view
        self._states: dict[str, tuple[StoredObject, StateReferences]] = {}
        self._directories: list[str] = []
        self._current = References()
        self._lock = threading.Lock()

    def sweep(self) -> References:
        """List the root again, and return everything that is referred to now."""
        with self._lock:
            try:
                self._view.refresh()
                self._sweep()
            except OSError as error:
                self._current = References(errors=(_sentence(error, self._view.root),))
            return self._current

    def near(self, directory: str) -> References:
        """The same, exact for the state file of one directory, as of the last listing else."""
        with self._lock:
            try:
                self._read_named(f"{directory}/{state_file.NAME}")
            except OSError as error:
                return References(errors=(_sentence(error, directory),))
            self._current = self._collected()
            return self._current

    def _sweep(self) -> None:
        """Read what may be a state file, below the root as listed and above it by name."""
        named = set[str]()
        self._directories = []
        for directory, objects in list(self._view.directories()):
            self._directories.append(directory)
            for name in possible_state_files(objects, posixpath.basename(directory)):
                path = f"{directory}/{name}"
                named.add(path)
                self._read(path, objects[name])
        for path in _above(self._view.root):
            named.add(path)
            self._read_named(path)
        for config in self._configs_above():
            path = f"{parse_url(self._view.root).root}/{config.key}"
            named.add(path)
            self._read(path, config)
        self._states = {path: state for path, state in self._states.items() if path in named}
        self._current = self._collected()

    def _configs_above(self) -> list[StoredObject]:
        """What may be configs of TensorFlow Serving in the directory above the root."""
        key = parse_url(self._view.root).key
        if not key:
            return []
        _, objects = self._view.client.list_directory(posixpath.dirname(key))
        configs = [one for one in objects if may_be_one(posixpath.basename(one.key))]
        return configs[:_MOST_CONFIGS]

    def _read_named(self, path: str) -> None:
        """Read the state file of a name as it is now.

        Raises:
            OSError: the store does not answer.
        """
        try:
            stored = self._view.client.head(parse_url(path).key)
        except FileNotFoundError:
            self._states.pop(path, None)
            return
        self._read(path, stored)

    def _read(self, path: str, listed: StoredObject) -> None:
        known = self._states.get(path)
        if known is not None and known[0] == listed:
            return
        must_be_one = posixpath.basename(path) == state_file.NAME
        for _ in range(_TRIES):
            try:
                state = read_state_file(
                    path, must_be_one=must_be_one, storage=_OneObject(self._view.client, listed)
                )
            except _UnreadError as error:
                state = StateReferences(error=error.why)
                if not error.changed:
                    break
                try:
                    listed = self._view.client.head(listed.key)
                except FileNotFoundError:
                    self._states.pop(path, None)
                    return
            else:
                break
        # What could not be read is read again in the next sweep.
        self._states[path] = (_other_than(listed) if state.error else listed, state)

    def _collected(self) -> References:
        states = [(path, state) for path, (_, state) in self._states.items()]
        latest = {name for _, state in states for name in state.latest}
        listed = {name for _, state in states for name in state.listed}
        empty = (f"{self._view.root!r} is empty: is it the right URL?",)
        return References(
            frozenset(URLS.of_names(latest)),
            empty if self._view.is_empty else (),
            frozenset(URLS.of_names(listed)),
            tuple(UnreadableStateFile(path, state.error) for path, state in states if state.error),
            (),
            tuple(saving_order_of(p, state, URLS) for p, state in states if len(state.saved) > 1),
            {
                version: path
                for path, state in states
                for model in state.served
                for version in self._versions_of(model)
            },
        )

    def _versions_of(self, model: ServedModel) -> list[str]:
        above = {d for d in self._directories if posixpath.basename(d) == model.directory}
        return named_versions(
            model, (d for d in self._directories if posixpath.dirname(d) in above)
        )


class _UrlSpellings:
    """The spellings of URLs: a URL has only one."""

    def of_names(self, paths: Iterable[str]) -> Iterator[str]:
        """Each path without `.` and `..`."""
        for path in paths:
            scheme, _, rest = path.partition("://")
            yield f"{scheme}://{posixpath.normpath(rest)}" if is_url(path) else path


URLS = _UrlSpellings()


class _UnreadError(Exception):
    """A state file could not be read; no `OSError`, which would count as if there were none."""

    def __init__(self, why: str, *, changed: bool) -> None:
        super().__init__(why)
        self.why = why
        self.changed = changed


class _OneObject:
    """One object as a `formats.Storage`, as it was found."""

    def __init__(self, client: BucketClient, found: StoredObject) -> None:
        self._client = client
        self._found = found

    def scandir(self, path: str) -> list[Entry]:
        """Return nothing: one object has no entries."""
        raise NotImplementedError

    def stat(self, path: str) -> Stat:
        """What was found."""
        del path  # there is one
        stored = self._found
        return Stat(
            0, 0, stored.size, stored.mtime_ns, 0, is_dir=False, is_file=True, tag=stored.tag
        )

    def pread(self, path: str, offset: int, size: int) -> bytes:
        """Read a piece of that very content."""
        del path  # there is one
        try:
            return self._client.read(self._found, offset, size)
        except ObjectChangedError:
            raise _UnreadError("it is written over again and again", changed=True) from None
        except OSError as error:
            raise _UnreadError(f"it cannot be read ({error.strerror})", changed=False) from None


def _other_than(listed: StoredObject) -> StoredObject:
    """An object that differs from every listed one."""
    return replace(listed, size=-1)


def _above(root: str) -> list[str]:
    """The names of state files in the directories above a root."""
    url, found = parse_url(root), list[str]()
    above = os.path.dirname(url.key)
    while url.key:
        found.append("/".join(filter(None, (url.root, above, state_file.NAME))))
        if not above:
            break
        above = os.path.dirname(above)
    return found


def _sentence(error: OSError, name: str) -> str:
    return f"{name!r} cannot be listed ({error.strerror or error})"
