"""What is known of files: candidates, recognised directories, probes, and format errors."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from checkpointd.core.checkpoint import Generation
    from checkpointd.core.format_specs import Format

TRUNCATED = "truncated"
CUT_SHORT = ": the save was cut short."
"""What a file without its end means once nobody writes it any more."""
MISSING_MEMBER = "missing_member"
MALFORMED = "malformed"
NOT_A_CHECKPOINT = "not_a_checkpoint"
UNSUPPORTED = "unsupported"
ENVIRONMENT = "environment"
UNREADABLE = "not_readable"
"""Why a container was not read to its end; the last two are no fault of it: this machine's
TensorFlow is too old for it, or our own reader does not know the layout."""

PROBE_BYTES = 4096
"""The most that a probe reads of one member."""


class FormatError(Exception):
    """A container that breaks its format's rules, or one whose layout is not known here.

    `word` is one of the above, `message` one plain sentence. Of what is UNREADABLE nothing is known
    to be wrong: a real loader has to decide.
    """

    def __init__(self, word: str, message: str) -> None:
        super().__init__(word, message)
        self.word = word
        self.message = message

    def __str__(self) -> str:
        return self.message


class SurplusBytesError(FormatError):
    """A file whose edges look cut short, and that a real reader may take as it is.

    It goes on after the end that its format gives it, or its end is too long for a probe.
    """


@dataclass(frozen=True)
class Candidate:
    """Something that may be a checkpoint, and the identity of its members just now.

    `hint` is the format that names suggest; UNKNOWN is a plain file whose content decides.
    """

    path: str
    hint: Format
    generation: Generation


@dataclass(frozen=True)
class Recognised:
    """What one directory holds: candidates, and the paths of sub-directories to walk.

    `recorded` are the paths beside which a golden record is; `managed` means that a `checkpoint`
    state file is there. `links` are symbolic links that are neither candidates nor walked.
    """

    found: tuple[Candidate, ...]
    descend: tuple[str, ...]
    recorded: frozenset[str] = frozenset()
    managed: bool = False
    links: tuple[str, ...] = ()


class ProbeState(enum.Enum):
    """What reading a candidate's edges shows."""

    UNKNOWN = "unknown"
    INCOMPLETE = "incomplete"
    COMPLETE = "complete"


@dataclass(frozen=True)
class Probe:
    """What a few reads of at most 4 KiB a member show about a candidate.

    `reason` is `structure.<word>` when INCOMPLETE; `certain` means that the format itself proves
    that the writer has finished, so that no settle time is needed. `surplus`: it is INCOMPLETE
    for the reason of a `SurplusBytesError`, and reading it whole decides.
    """

    state: ProbeState
    format: Format
    reason: str = ""
    message: str = ""
    certain: bool = False
    surplus: bool = False


def incomplete(format: Format, error: FormatError) -> Probe:
    """Make the probe of something that is not, or not yet, whole."""
    surplus = isinstance(error, SurplusBytesError)
    reason = f"structure.{error.word}"
    return Probe(ProbeState.INCOMPLETE, format, reason, error.message, surplus=surplus)


def complete(format: Format, *, certain: bool = False) -> Probe:
    """Make the probe of something that looks whole."""
    return Probe(ProbeState.COMPLETE, format, certain=certain)


def unknown(format: Format, message: str = "") -> Probe:
    """Make the probe of something that is no checkpoint."""
    return Probe(ProbeState.UNKNOWN, format, message=message)
