"""The finding of a host check: how bad it is, one sentence, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from checkpointd.cli.doctor.host import Host


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    UNKNOWN = "unknown"
    """It is not known; the cure says how to find out."""

    WARNING = "warning"
    """Everything works, but somebody should look at this."""

    PROBLEM = "problem"
    """Something does not work."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found; `cure` is one sentence, empty where nothing needs to be done."""

    level: Level
    message: str
    cure: str = ""


def ok(message: str) -> Finding:
    """It is as it should be."""
    return Finding(Level.OK, message)


def unknown(message: str, cure: str) -> Finding:
    """It is not known."""
    return Finding(Level.UNKNOWN, message, cure)


def warning(message: str, cure: str) -> Finding:
    """It works, but is not as it should be."""
    return Finding(Level.WARNING, message, cure)


def problem(message: str, cure: str) -> Finding:
    """It does not work."""
    return Finding(Level.PROBLEM, message, cure)


NO_CONFIG = ("This is not known without the config.", "See `config` above.")
"""The finding of a check that needs a config where there is none."""


@dataclass(frozen=True)
class HostCheck:
    """One row of the table of checks.

    Attributes:
        name: how it is called on the command line and in `--json`.
        summary: what it looks at, for the manual.
        run: does it; yields at least one finding.
    """

    name: str
    summary: str
    run: Callable[[Host], Iterable[Finding]]
