"""The references below a root: collected once, then updated while checkpoints are moved.

A new link or state file changes the modification time of its directory, so a sweep lists again
only directories that changed, reads again only state files that changed, and follows every known
link again. A sweep costs a `stat` for each directory. It is made before and after each move, as
long as sweeps take no more than a quarter of the time; else only the state files beside the
checkpoint and the published links are read, and the sweep at the end of the round finds what came
in between.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from typing import TYPE_CHECKING

from checkpointd.formats import state_file
from checkpointd.retention.reference_walk import Walk
from checkpointd.retention.references import References, UnreadableStateFile
from checkpointd.retention.serving_config import may_be_one
from checkpointd.retention.spellings import Spellings
from checkpointd.retention.state_orders import saving_order_of
from checkpointd.retention.state_references import read_state_file

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.retention.saving_order import SavingOrder
    from checkpointd.retention.state_references import StateReferences

_SWEEP_SHARE = 3.0
_MOST_LINK_DIRECTORIES = 50_000
_MOST_CONFIGS = 20


def find_references(root: str, published: str = "", links: Iterable[str] = ()) -> References:
    """Search once for references to what is below a root; see `ReferenceIndex`."""
    return ReferenceIndex(root, published, links).sweep()


class ReferenceIndex:
    """The references to what is below a root; thread-safe, for one round.

    State files in the directories above the root count as well, if they begin like one: they may
    name `below/ckpt-7`. So do configs of TensorFlow Serving in the directory above it. An empty or
    unreadable root is an error: it is more likely not mounted than not used. The same holds for
    each directory of `links`.

    Args:
        root: the root, which is not walked before the first call.
        published: a directory with links that count as well; it need not exist.
        links: more directories to search, anywhere.
    """

    def __init__(self, root: str, published: str = "", links: Iterable[str] = ()) -> None:
        self._root = Walk(root)
        self._published = Walk(published, may_be_missing=True) if published else None
        self._links = tuple(
            Walk(directory, most=_MOST_LINK_DIRECTORIES) for directory in dict.fromkeys(links)
        )
        self._spellings = Spellings(root)
        self._current = References()
        self._above = (*_state_files_above(root), *_configs_above(root))
        self._states: list[tuple[str, StateReferences]] = []
        self._listed = frozenset[str]()
        self._orders: tuple[SavingOrder, ...] = ()
        self._served: dict[str, str] = {}
        self._lock = threading.Lock()
        self._next_sweep = 0.0

    def sweep(self) -> References:
        """Return everything that is referred to now."""
        with self._lock:
            return self._sweep()

    def near(self, directory: str) -> References:
        """What is referred to now; exact for the published links and one directory's state files.

        The rest is at most as old as three sweeps take.
        """
        with self._lock:
            if time.monotonic() >= self._next_sweep:
                return self._sweep()
            if self._published is not None:
                self._published.sweep()
            self._root.read_states(directory, state_file.NAME)
            self._current = self._collect()
            return self._current

    def _sweep(self) -> References:
        began = time.monotonic()
        for walk in self._walks():
            walk.sweep()
        self._spellings = Spellings(self._root.top, self._root.identities())
        self._served = self._find_served()
        self._current = self._collect()
        ended = time.monotonic()
        self._next_sweep = ended + _SWEEP_SHARE * (ended - began)
        return self._current

    def _find_served(self) -> dict[str, str]:
        states = [found for walk in self._walks() for found in walk.states()]
        states += [(path, read_state_file(path, must_be_one=False)) for path in self._above]
        return {
            version: path
            for path, state in states
            for model in state.served
            for version in self._root.versions(model)
        }

    def _walks(self) -> tuple[Walk, ...]:
        published = () if self._published is None else (self._published,)
        return (self._root, *published, *self._links)

    def _collect(self) -> References:
        links = {link for walk in self._walks() for link in walk.links()}
        states = [found for walk in self._walks() for found in walk.states()]
        states += [(path, read_state_file(path, must_be_one=False)) for path in self._above]
        latest = {path for _, state in states for path in state.latest}
        if states != self._states:
            self._states = states
            listed = {path for _, state in states for path in state.listed}
            self._listed = frozenset(self._spellings.of_names(listed))
            several = ((path, state) for path, state in states if len(state.saved) > 1)
            self._orders = tuple(
                saving_order_of(path, state, self._spellings) for path, state in several
            )
        return References(
            frozenset(self._spellings.of_links(links | latest)),
            (*self._root.errors(), *self._empty(self._root)),
            self._listed,
            tuple(UnreadableStateFile(path, state.error) for path, state in states if state.error),
            tuple(e for walk in self._links for e in (*walk.errors(), *self._empty(walk))),
            self._orders,
            self._served,
        )

    @staticmethod
    def _empty(walk: Walk) -> tuple[str, ...]:
        if walk.is_empty and not walk.errors():
            return (f"{walk.top!r} is empty: is it mounted?",)
        return ()


def _state_files_above(root: str) -> tuple[str, ...]:
    names = list[str]()
    for path in dict.fromkeys((root.rstrip("/"), os.path.realpath(root))):
        directory = os.path.dirname(path)
        while directory not in ("", "/"):
            names.append(f"{directory}/{state_file.NAME}")
            directory = os.path.dirname(directory)
    return tuple(dict.fromkeys(names))


def _configs_above(root: str) -> tuple[str, ...]:
    configs = list[str]()
    for path in dict.fromkeys((root.rstrip("/"), os.path.realpath(root))):
        directory = os.path.dirname(path)
        with contextlib.suppress(OSError):
            names = os.listdir(directory)
            configs += (f"{directory.rstrip('/')}/{name}" for name in names if may_be_one(name))
    return tuple(configs[:_MOST_CONFIGS])
