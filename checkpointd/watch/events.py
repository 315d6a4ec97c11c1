"""What a watch reports to the daemon: frozen facts, emitted from the watcher's thread."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from checkpointd.core.checkpoint import Checkpoint, Generation

SaveState = Literal["writing", "settled", "torn"]


@dataclass(frozen=True)
class GenerationUpdate:
    """A generation of a checkpoint: being written, finished, or never finished.

    `reason` (`structure.<word>`) and `message` name what is missing while `state` is `writing`
    or `torn`; both are empty when it is `settled`. `overdue`: it has not changed for `torn_after`;
    `idle`: for a fifteenth of that.
    `listing` is the same for all generations that were found in one listing, and no other one's.
    """

    watch: str
    checkpoint: Checkpoint
    generation: Generation
    state: SaveState
    reason: str = ""
    message: str = ""
    overdue: bool = False
    idle: bool = False
    listing: int = 0


@dataclass(frozen=True)
class MetadataChanged:
    """Names, sizes and times are those that were reported, but an inode or a change time is not.

    The cause is a chmod, a hard link, a copy that keeps times, a restored backup: the content may
    be the same or not.
    """

    watch: str
    path: str
    generation: Generation


@dataclass(frozen=True)
class SeriesChanged:
    """A checkpoint that was reported belongs to another series now.

    The `checkpoint` state file has changed since, or the watch's `version` template.
    """

    watch: str
    checkpoint: Checkpoint


@dataclass(frozen=True)
class Gone:
    """A checkpoint that was known is no longer in a directory that could be listed."""

    watch: str
    path: str


@dataclass(frozen=True)
class Reconciled:
    """A full comparison with the directory is done: at `at` (epoch seconds), taking `seconds`.

    `unknown` counts the files that are not checkpoints.
    """

    watch: str
    at: float
    seconds: float
    unknown: int


@dataclass(frozen=True)
class WatchHealth:
    """Whether a watch can read its root; emitted whenever that or the message changes."""

    watch: str
    up: bool
    message: str


@dataclass(frozen=True)
class Coalesced:
    """A complete generation was written over before it could be reported."""

    watch: str
    path: str


WatchEvent = (
    GenerationUpdate | MetadataChanged | SeriesChanged | Gone | Reconciled | WatchHealth | Coalesced
)


@dataclass(frozen=True)
class WatcherStatus:
    """The state of one watcher, for the status page; `last_reconcile_at` is 0 before the first.

    `hung`: its file system does not respond. `begins`: it has not looked at its directory yet, so
    that it is neither known to be there nor to be missing. `restarts` counts observers that
    stopped unexpectedly. `pages` counts the requested pages of listings of a bucket.
    """

    up: bool
    method: str
    message: str
    directories: int
    unknown: int
    last_reconcile_at: float
    reconcile_seconds: float
    overflows: int
    ready: bool
    hung: bool = False
    restarts: int = 0
    begins: bool = False
    pages: int = 0
