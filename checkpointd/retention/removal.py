"""The outcome of a removal, and what is checked right before one, wherever the checkpoint is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.ledger import State
from checkpointd.retention.eligibility import is_eligible

if TYPE_CHECKING:
    from checkpointd.config import RetentionSettings
    from checkpointd.ledger import Entry
    from checkpointd.retention.decision import Decision
    from checkpointd.retention.pruning_ledger import EntryReader


@dataclass(frozen=True)
class Removal:
    """The outcome of one removal.

    `reason` explains why it was removed, or why it was not; `item` is its id in the trash,
    `size_bytes` what it occupied. `suspects` are checkpoints that are not on disk as they were
    verified: they should be verified again. What is not `done` has `failed` in the file system or
    the ledger, or was refused because it would not be safe.
    """

    entry: Entry
    done: bool
    rule: str
    reason: str
    item: str = ""
    size_bytes: int = 0
    suspects: tuple[str, ...] = ()
    failed: bool = False


class RefusedError(Exception):
    """A removal would not be safe now; the message says why."""

    def __init__(self, reason: str, suspects: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.suspects = suspects


def check_still_planned(
    decision: Decision, records: EntryReader, policy: RetentionSettings
) -> None:
    """Compare with the ledger as it is now: the plan may be old.

    Raises:
        RefusedError: the checkpoint is not what the plan was made of.
    """
    planned = decision.entry
    entry = records.entry(planned.path)
    if entry is None or entry.generation != planned.generation or entry.state != planned.state:
        raise RefusedError("it has changed in the ledger since this was planned")
    check_marks(planned, entry)
    if entry.state is State.VALID and not is_eligible(entry, policy):
        raise RefusedError("it has been verified again since this was planned")


def check_marks(planned: Entry, known: Entry) -> None:
    """Compare pins and tags with those of the plan.

    Raises:
        RefusedError: there are more.
    """
    if known.pinned:
        raise RefusedError("it has been pinned since this was planned")
    if not known.tags <= planned.tags:
        raise RefusedError("it has been tagged since this was planned")
