"""One verification as it is asked for, and the answer that a dispatcher returns."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.core.checkpoint import Checkpoint, Generation
    from checkpointd.core.report import Facts, Report
    from checkpointd.core.verify_settings import VerifySettings


@dataclass(frozen=True)
class Previous:
    """The last valid checkpoint of the same series, for the checks that compare."""

    path: str
    facts: Facts
    step: int | None = None


@dataclass(frozen=True)
class Former:
    """What was last read whole at the path that is to be verified."""

    generation: Generation
    facts: Facts


@dataclass(frozen=True)
class Request:
    """One verification to be done: picklable, free of TensorFlow, complete on another host.

    `overdue`: it has not changed for so long that its writer must be done, so a missing part is a
    failure; otherwise that ends the verification as INCOMPLETE. `idle`: it has not changed for a
    part of that time, so that a few places which do not match may be called damage where no save
    leaves them so. `copied`: it changes more often
    than a verification takes, so a private copy of it is to be verified. `digest`: its content
    (`Facts.digest`) when this generation was read before; empty if it was not. `former` shows
    what has changed since, where other content was there before. `best` holds, for
    each metric that is bounded by it, the best value of the series' valid checkpoints.
    """

    checkpoint: Checkpoint
    generation: Generation
    settings: VerifySettings
    previous: Previous | None = None
    overdue: bool = False
    idle: bool = False
    copied: bool = False
    digest: str = ""
    best: Mapping[str, float] = field(default_factory=dict)
    former: Former | None = None


class End(str, enum.Enum):
    """How a verification ended; only DONE has a verdict."""

    DONE = "done"
    INCOMPLETE = "incomplete"
    SUPERSEDED = "superseded"
    UNKNOWN = "unknown"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Answer:
    """What a dispatcher returns for a request: a report only when `end` is DONE."""

    end: End
    message: str = ""
    report: Report | None = None
