"""The outcome of a removal, and the checks right before one, on a disk or in a bucket."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from checkpointd.ledger import LedgerError, State
from checkpointd.retention.eligibility import is_eligible
from checkpointd.retention.trash import TrashError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from checkpointd.config import RetentionSettings
    from checkpointd.ledger import Entry
    from checkpointd.retention.decision import Decision
    from checkpointd.retention.pruning_ledger import EntryReader
    from checkpointd.retention.pruning_round import PruningRound
    from checkpointd.retention.references import References


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


def check_unused(entry: Entry, current: PruningRound, records: EntryReader, directory: str) -> None:
    """Look once more for a pin, a tag or a reference.

    Args:
        entry: what is to be removed.
        current: the round.
        records: the ledger.
        directory: that which the checkpoint is in.

    Raises:
        RefusedError: there is one, or nobody knows.
    """
    known = records.entry(entry.path)
    if known is not None:
        check_marks(entry, known)
    references = current.references.near(directory)
    if references.errors:
        raise RefusedError(f"the watch cannot be listed completely: {references.errors[0]}")
    if in_use := current.why_in_use(entry, references):
        raise RefusedError(in_use)


def check_floor(
    entry: Entry,
    others: Iterable[Entry],
    floor: int,
    is_present: Callable[[Entry], bool],
    where: str,
) -> None:
    """Check that enough other valid ones of a series are there as they were verified.

    Args:
        entry: what is to be removed.
        others: the other valid ones of its series.
        floor: how many must stay.
        is_present: looks at one of them.
        where: they are: "on disk".

    Raises:
        RefusedError: there are not enough.
    """
    if entry.state is not State.VALID:
        return
    present, suspects = 0, list[str]()
    for other in others:
        if present >= floor:
            return
        if is_present(other):
            present += 1
        else:
            suspects.append(other.path)
    if present < floor:
        raise RefusedError(
            f"only {present} other valid ones of its series are {where} as they were verified, and "
            f"keep_min_valid = {floor}",
            tuple(suspects),
        )


def undo_named(
    results: Iterable[Removal | None],
    current: PruningRound,
    undo: Callable[[Removal], None],
    otherwise: str,
) -> list[Removal]:
    """Undo removals of checkpoints that something has begun to refer to during the round.

    Args:
        results: of the round; None for what was not begun.
        current: the round.
        undo: brings one back.
        otherwise: the clause for one that cannot be restored.
    """
    after = current.references.sweep()
    return [_undone_if_named(r, current, after, undo, otherwise) for r in results if r is not None]


def _undone_if_named(
    removal: Removal,
    current: PruningRound,
    after: References,
    undo: Callable[[Removal], None],
    otherwise: str,
) -> Removal:
    named = current.why_in_use(removal.entry, after) if removal.done else ""
    if not named:
        return removal
    try:
        undo(removal)
    except (TrashError, LedgerError, OSError) as error:
        return replace(removal, reason=f"{removal.reason}; {named}, and {otherwise} ({error})")
    return Removal(removal.entry, done=False, rule=removal.rule, reason=named)
