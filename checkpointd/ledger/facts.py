"""What the ledger knows about one checkpoint, as frozen dataclasses."""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from checkpointd.core.report import Report

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.core.checkpoint import Checkpoint, Generation
    from checkpointd.core.report import Facts
    from checkpointd.ledger.summaries import FactsSummary, ReportSummary


class State(enum.StrEnum):
    """The state of a checkpoint, in the order of display; the three verdicts are states too."""

    VALID = "valid"
    INVALID = "invalid"
    INCONCLUSIVE = "inconclusive"
    PENDING = "pending"
    WRITING = "writing"
    UNKNOWN = "unknown"
    SUPERSEDED = "superseded"
    TRASHED = "trashed"
    GONE = "gone"


ABSENT = frozenset({State.GONE, State.TRASHED})
"""States of checkpoints that are no longer at their path."""

FINISHED = frozenset({State.VALID, State.INVALID, State.INCONCLUSIVE, State.UNKNOWN})
"""States that remain until the content changes."""


@dataclass(frozen=True)
class Earlier:
    """A content that was at a path before: its save time, and its place as in `Entry`.

    As `Entry.original` it is the first one with the content that is there again: it was copied
    back.
    """

    saved_at: float
    sequence: int


def first_saved_at(saved_at: float, original: Earlier | None) -> float:
    """When a content was first saved, of its time now and that of the same content before it.

    The earlier one: a copy is later, and a time that was corrected is earlier. 0 is no time.
    """
    if original is None:
        return saved_at
    return min((at for at in (saved_at, original.saved_at) if at > 0), default=saved_at)


@dataclass(frozen=True, slots=True)
class Entry:
    """One path and the generation that was last seen there; times are seconds since the epoch.

    `report` is the newest one about this very generation, in lists its summary. `seen` is when this
    generation was first seen, `sequence` counts generations in the order in which they were seen,
    whatever the clock said; those found in one listing have the same. `original` is what was at the
    path before with the same content, None if this is new; `before` are all contents that were
    verified there, each where it was first seen.
    """

    id: int
    checkpoint: Checkpoint
    generation: Generation
    state: State
    report: Report | ReportSummary | None
    first_seen: float
    saved_at: float
    pinned: bool
    message: str = ""
    seen: float = 0.0
    sequence: int = 0
    tags: frozenset[str] = frozenset()
    original: Earlier | None = None
    before: tuple[Earlier, ...] = ()

    @property
    def content_saved_at(self) -> float:
        """When this content was first saved, also if it was copied back without its time."""
        return first_saved_at(self.saved_at, self.original)

    @property
    def path(self) -> str:
        """The checkpoint's path."""
        return self.checkpoint.path

    @property
    def whole_report(self) -> Report | None:
        """The report, where this is not one of a list, with a summary of it."""
        return self.report if isinstance(self.report, Report) else None

    @property
    def step(self) -> int | None:
        """The training step: the one in the name, else the golden record's."""
        if self.checkpoint.step is not None:
            return self.checkpoint.step
        return self.report.facts.step if self.report else None

    @property
    def metrics(self) -> Mapping[str, float]:
        """The metrics of the report, and those in the name that it does not have."""
        if self.report is None:
            return self.checkpoint.metrics
        return {**self.checkpoint.metrics, **self.report.facts.metrics}


@dataclass(frozen=True)
class DepartedCheckpoint:
    """What was once at a path and is not any more, as far as it tells the order of a series.

    `step` is the one of its name, else of its report; the other fields are those of `Entry`.
    """

    id: int
    checkpoint: Checkpoint
    step: int | None
    saved_at: float
    first_seen: float
    seen: float
    sequence: int
    original: Earlier | None = None
    before: tuple[Earlier, ...] = ()


@dataclass(frozen=True, slots=True)
class RecordedPath:
    """What the ledger has of a path: `Generation.identity`, empty without a verdict; the series.

    `key` is `Generation.key`, and `seen_seconds` for how long that generation has been known.
    """

    identity: str
    series: str
    key: str = ""
    seen_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class CheckpointSummary:
    """One checkpoint of a series at a glance; times are seconds since the epoch.

    `reason` and `message` are its report's, or why it has no verdict; `verified_at` is None without
    a report.
    """

    id: int
    path: str
    state: State
    step: int | None
    saved_at: float
    size_bytes: int
    reason: str = ""
    message: str = ""
    verified_at: float | None = None


@dataclass(frozen=True, slots=True)
class SeriesSummary:
    """A series at a glance.

    `last_seen` is when its newest generation was seen, `last_valid` when its newest valid one was
    saved (0 if there never was one), `facts` and `metrics` (of `evaluate`, the golden record and
    the name) are its newest report's, `retained_bytes` what its `count` checkpoints occupy now.

    `newest` was saved last of those on disk, `newest_verified` last of those with a verdict,
    `newest_valid` last of the valid ones. `not_valid` counts the invalid and inconclusive ones that
    were saved later than that, `not_valid_since` is when the first of them was saved. `saves` are
    the times of the last saves that have a report, the newest first.
    """

    watch: str
    series: str
    last_seen: float
    last_valid: float = 0.0
    last_valid_step: int | None = None
    retained_bytes: int = 0
    facts: Facts | FactsSummary | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    count: int = 0
    newest: CheckpointSummary | None = None
    newest_verified: CheckpointSummary | None = None
    newest_valid: CheckpointSummary | None = None
    not_valid: int = 0
    not_valid_since: float | None = None
    saves: tuple[float, ...] = ()


@dataclass(frozen=True)
class Pin:
    """A path that is never pruned, since `at` (seconds since the epoch), and why.

    With a `tag` it is another record of the same kind: the path carries the tag, and is not pinned.
    `id` is the pin's own: it stays when the root is found under another path, and a pin that was
    removed is known by it in every copy.
    """

    path: str
    note: str
    at: float
    id: str = ""
    tag: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What there is only one of: a path is pinned once, and carries each tag once."""
        return self.path, self.tag

    @property
    def identity(self) -> str:
        """The id; pins of earlier versions have one that follows from path and time."""
        text = f"{self.path}\0{self.at!r}".encode("utf-8", "surrogateescape")
        return self.id or hashlib.sha256(text).hexdigest()[:16]


@dataclass(frozen=True)
class Moved:
    """A checkpoint that was moved into the trash as `item`; `at` is None for now."""

    path: str
    rule: str
    reason: str
    item: str
    at: float | None = None


@dataclass(frozen=True)
class Pruned:
    """One pruning: what, when, by which rule and why, its id in the trash.

    `restored_at` is None as long as it has not been restored.
    """

    path: str
    watch: str
    at: float
    rule: str
    reason: str
    size_bytes: int
    item: str
    restored_at: float | None = None
