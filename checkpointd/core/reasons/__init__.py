"""The closed list of reasons: what went wrong, what that rests on, and what to do about it.

Here alone a reason becomes a severity, so that no check can convict without evidence:

- A failure (the checkpoint is invalid) needs evidence in the file, in the golden record, in what
  the user asked for, or a danger that is really there.
- What hangs on this machine, on inputs that were made up, or on what our own readers do not know
  is never a failure. It is an error (inconclusive) where it keeps `intact` or `loads` from being
  shown, and a note, which leaves the verdict to the other checks, everywhere else.

Standard library only, Python 3.9.
"""

from __future__ import annotations

from checkpointd.core.reasons.loading import LOADING
from checkpointd.core.reasons.scanning import SCANNING
from checkpointd.core.reasons.severity import EVIDENCE, Basis, Reason, Severity

__all__ = ["EVIDENCE", "REASONS", "Basis", "Reason", "Severity", "cure_of"]

_F, _E, _N = Severity.FAIL, Severity.ERROR, Severity.NOTE
_FILE, _MACHINE, _INPUTS = Basis.FILE, Basis.MACHINE, Basis.INPUTS

_OWN = {**SCANNING, **LOADING}

_ANY = {
    "timeout": (_E, "It took too long: raise [worker] timeout, or look at the disk.", _MACHINE),
    "crashed": (_F, "Loading it crashes the interpreter, twice in a row: do not load it.", _FILE),
    "out_of_memory": (
        _E,
        "There was not enough memory: raise [worker] memory, or free some on this machine.",
        _MACHINE,
    ),
    "unreadable": (_E, "It could not be read: look at permissions and at the disk.", _MACHINE),
    "environment": (
        _E,
        (
            "Read the message: it is about the verifier's settings, interpreter or machine, not "
            "about the checkpoint."
        ),
        _MACHINE,
    ),
}

_NOTED = frozenset({"drift", "signatures", "inference", "predictions", "resume"})
"""Checks that show neither `intact` nor `loads`, and that nobody asked for."""

_MISSING_HERE = frozenset({"environment", "out_of_memory"})

_CRASHES = {
    "inference": (
        _E,
        "Running it crashes the interpreter, twice in a row: run it by hand before it is served.",
        _MACHINE,
    ),
    "resume": (
        _N,
        (
            "The training step that was made up for it crashes the interpreter, twice in a row: "
            "that says nothing of the step that the job would make."
        ),
        _INPUTS,
    ),
}
"""What may crash because of this machine, or of what we make up for the model."""


def _any(check: str, word: str) -> Reason:
    """What a word that any check may end in means for this one."""
    severity, cure, basis = _ANY[word]
    if word == "crashed" and check in _CRASHES:
        severity, cure, basis = _CRASHES[check]
    if check in _NOTED and word in _MISSING_HERE:
        severity = _N
    return Reason(severity, cure, basis)


_CHECK_NAMES = sorted({reason.split(".")[0] for reason in _OWN})

REASONS = {
    **{name: Reason(*entry) for name, entry in _OWN.items()},
    **{f"{check}.{word}": _any(check, word) for check in _CHECK_NAMES for word in _ANY},
}
"""Every reason that a report may hold, by name."""


def cure_of(reason: str) -> str:
    """What to do about a reason; empty for one of a user's own check that only they know."""
    known = REASONS.get(reason)
    if known is not None:
        return known.cure
    check, _, word = reason.partition(".")
    return _ANY[word][1] if check and word in _ANY else ""
