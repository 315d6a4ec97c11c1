"""What refers to checkpoints: the facts, and how the name of a checkpoint is compared with them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import GOLDEN_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from checkpointd.ledger import Entry
    from checkpointd.retention.saving_order import SavingOrder


@dataclass(frozen=True)
class UnreadableStateFile:
    """A `checkpoint` state file that cannot be used, and why."""

    path: str
    reason: str

    @property
    def directory(self) -> str:
        """The directory whose checkpoints it may name, in it or below."""
        return os.path.dirname(self.path)


@dataclass(frozen=True)
class References:
    """What is referred to, as absolute paths, and what could not be read.

    `paths` are what symbolic links name and what training would resume from, `listed` what a
    job's manager keeps as well. `errors` are about the root, `link_errors` about the directories
    of `links`: one message each. `saving_orders` are what state files say of the order of saving.
    `served` are versions that a config of TensorFlow Serving names, each with that config's path.
    """

    paths: frozenset[str] = frozenset()
    errors: tuple[str, ...] = ()
    listed: frozenset[str] = frozenset()
    unreadable: tuple[UnreadableStateFile, ...] = ()
    link_errors: tuple[str, ...] = ()
    saving_orders: tuple[SavingOrder, ...] = ()
    served: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def _above(self) -> frozenset[str]:
        """The directories above everything that is named."""
        directories = set[str]()
        for path in self.paths:
            above = os.path.dirname(path)
            while above not in directories:
                directories.add(above)
                above = os.path.dirname(above)
        return frozenset(directories)

    def is_named(self, entry: Entry) -> bool:
        """Whether the checkpoint is named, a file of it, or something inside it."""
        if entry.path in self.served:
            return True
        return bool(self.paths) and (_is_in(entry, self.paths) or entry.path in self._above)

    def is_listed(self, entry: Entry) -> bool:
        """Whether a job's manager lists the checkpoint."""
        return bool(self.listed) and _is_in(entry, self.listed)

    def unreadable_for(self, path: str) -> UnreadableStateFile | None:
        """The state file that may name a path, if it cannot be read."""
        return next((u for u in self.unreadable if path.startswith(u.directory + "/")), None)


NO_REFERENCES = References()


def alone_in_named(series: Sequence[Entry], references: References) -> frozenset[int]:
    """The checkpoints of a series that a named directory holds as its only one: their ids.

    Such a directory is one save: `best` -> `checkpoint_000010`, with `model.keras` in it. One that
    holds several is a run, and naming it names none of them.
    """
    named = dict[str, tuple[str, ...]]()
    holding = dict[str, list[int]]()
    for entry in series if references.paths else ():
        parent = os.path.dirname(entry.path.rstrip("/"))
        if parent not in named:
            named[parent] = tuple(d for d in _up(parent) if d in references.paths)
        for directory in named[parent]:
            holding.setdefault(directory, []).append(entry.id)
    return frozenset(ids[0] for ids in holding.values() if len(ids) == 1)


def _up(directory: str) -> Iterator[str]:
    while directory not in ("", "/"):
        yield directory
        directory = os.path.dirname(directory)


def _is_in(entry: Entry, paths: frozenset[str]) -> bool:
    path = entry.path
    return (
        path.rstrip("/") in paths  # of an empty prefix the directory is named
        or path + GOLDEN_SUFFIX in paths
        or any(path + member.name in paths for member in entry.generation.members)
    )
