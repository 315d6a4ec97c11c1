"""Roots as a process that has just started looks at them, and ledgers beside their own."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from checkpointd.ledger import Ledger
from checkpointd.retention.root import RootDoubts, RootKeeper
from checkpointd.retention.trash import trash_place
from tests.helpers.ledger import record_verdict

if TYPE_CHECKING:
    from tests.helpers.retention import Field

RECORDS = ".checkpointd"


def keeper(field: Field, ledger: Ledger | None = None) -> RootKeeper:
    """A keeper of a root, as a process that has just started makes it."""
    return RootKeeper("w", trash_place(str(field.root)), ledger or field.ledger)


def synchronize(kept: RootKeeper, *, enforce: bool = True) -> RootDoubts:
    """Do it as one round does: with the lock."""
    with kept.locked(enforce=enforce) as holder:
        return kept.synchronize(holder, enforce=enforce)


def doubts(found: RootDoubts) -> set[str]:
    """The names of what is doubtful."""
    return {one.name for one in fields(found) if getattr(found, one.name)}


def another_ledger(field: Field, name: str = "other") -> Ledger:
    """The ledger of a state directory that is new."""
    state = field.root.parent / name
    state.mkdir()
    return Ledger.open(state)


def known_again(field: Field, ledger: Ledger) -> None:
    """Record in a new ledger what is on disk, as a daemon does that verifies it again."""
    for entry in reversed(field.ledger.entries("w")):
        record_verdict(ledger, (entry.checkpoint, entry.generation))
