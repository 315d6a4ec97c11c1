"""Reasons that every check may end in, whatever it examines."""

from __future__ import annotations

import dataclasses

from checkpointd.core.reasons.reason import Basis, Reason, Severity

_F, _E = Severity.FAIL, Severity.ERROR
_FILE, _MACHINE = Basis.FILE, Basis.MACHINE

GENERAL = {
    "timeout": Reason(
        _E, "It took too long: raise [worker] timeout, or look at the disk.", _MACHINE
    ),
    "crashed": Reason(
        _F, "Loading it crashes the interpreter, twice in a row: do not load it.", _FILE
    ),
    "out_of_memory": Reason(
        _E,
        "There was not enough memory: raise [worker] memory, or free some on this machine.",
        _MACHINE,
    ),
    "unreadable": Reason(
        _E, "It could not be read: look at permissions and at the disk.", _MACHINE
    ),
    "environment": Reason(
        _E,
        (
            "Read the message: it is about the verifier's settings, interpreter or machine, not "
            "about the checkpoint."
        ),
        _MACHINE,
    ),
}
"""By word; the name of the reason is `<check>.<word>`, and a check may define its own instead."""

_LACKING = frozenset({"environment", "out_of_memory"})


def general_reasons(check: str, *, optional: bool) -> dict[str, Reason]:
    """Return the reasons that any check may end in, by name, as they count for this one.

    Args:
        check: its name.
        optional: what this machine lacks for it is a note rather than an error.
    """
    return {
        f"{check}.{word}": dataclasses.replace(reason, severity=Severity.NOTE)
        if optional and word in _LACKING
        else reason
        for word, reason in GENERAL.items()
    }
