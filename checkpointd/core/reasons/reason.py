"""What a reason is: how it counts, and what it rests on."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Severity(enum.Enum):
    """How a reason counts: a failure, an error (not known), a warning, or a note.

    A note explains why something was not shown; it changes no verdict by itself.
    """

    FAIL = "fail"
    ERROR = "error"
    WARN = "warn"
    NOTE = "note"


class Basis(enum.Enum):
    """What a reason rests on; only the first four are evidence against a checkpoint."""

    FILE = "the file"
    RECORD = "the golden record"
    REQUEST = "what the user asked for"
    DANGER = "a danger that is really there"
    MACHINE = "this machine and its libraries"
    INPUTS = "inputs that were made up"
    READER = "what our own readers know"


EVIDENCE = frozenset({Basis.FILE, Basis.RECORD, Basis.REQUEST, Basis.DANGER})


@dataclass(frozen=True)
class Reason:
    """One way in which a check can end other than well; `cure` is one plain sentence.

    Raises:
        ValueError: it would be a failure without evidence.
    """

    severity: Severity
    cure: str
    basis: Basis

    def __post_init__(self) -> None:
        if self.severity is Severity.FAIL and self.basis not in EVIDENCE:
            raise ValueError(f"a failure needs evidence, and {self.basis.value} is none")
