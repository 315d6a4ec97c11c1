"""Brings the last valid content of a path back; what is at the path goes to the trash first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from checkpointd.ledger import State
from checkpointd.retention.newest_valid import is_unchanged_on_disk
from checkpointd.retention.open_files import OpenFiles
from checkpointd.retention.trash import TrashError
from checkpointd.retention.trees import NotUnchangedError
from checkpointd.retention.vault.choice import REPLACED

if TYPE_CHECKING:
    from checkpointd.ledger import Entry
    from checkpointd.retention.trash import Trash, TrashItem
    from checkpointd.retention.vault.store import Vault

_REASON = "a copy from the vault takes its place"


class CopyRecords(Protocol):
    """What is needed of the ledger."""

    @property
    def identity(self) -> str:
        """The random id of the ledger."""
        ...

    def entry(self, path: str) -> Entry | None:
        """What is known of a path."""
        ...

    def record_trashed(
        self, path: str, *, rule: str, reason: str, item: str, at: float | None = None
    ) -> None:
        """Record that a checkpoint was moved into the trash."""
        ...


def restore_copy(vault: Vault, trash: Trash, records: CopyRecords, path_or_id: str) -> TrashItem:
    """Move a copy to its path: the newest of the path, or the one with an id.

    Args:
        vault: holds the copy.
        trash: takes what is at its path, if that is not valid.
        records: the ledger.
        path_or_id: which copy.

    Raises:
        TrashError: there is none, or what is at the path must not be moved away.
        OSError: the file system refused.
        LedgerError: the ledger could not be read or written.
    """
    vault.adopt()
    item = vault.find(path_or_id)
    if item is None:
        raise TrashError(f"{path_or_id!r} is neither in the trash nor in the vault.")
    entry = records.entry(item.path)
    if entry is not None and entry.state not in (State.GONE, State.TRASHED):
        _move_away(entry, trash, records)
    return vault.restore(item)


def _move_away(entry: Entry, trash: Trash, records: CopyRecords) -> None:
    """Move what is at the path of a copy into the trash."""
    if entry.state is State.VALID and is_unchanged_on_disk(entry):
        raise TrashError(
            f"{entry.path!r} is valid as it is; to bring an older copy back, move it away first."
        )
    if entry.state not in (State.INVALID, State.INCONCLUSIVE, State.VALID):
        raise TrashError(
            f"{entry.path!r} has no verdict yet: wait for it (`checkpointd wait`), or move away "
            "what is there."
        )
    if OpenFiles.of([entry]).use_of_entry(entry) is not None:
        raise TrashError(f"{entry.path!r} is open in a process: stop that first.")
    try:
        moved = trash.put(
            entry, rule=REPLACED, reason=_REASON, guard=lambda _: None, ledger=records.identity
        )
    except FileNotFoundError:  # it was removed since
        return
    except NotUnchangedError as error:
        raise TrashError(
            f"{entry.path!r} is not what was verified last ({error}): wait for the verdict of a "
            "running daemon (`checkpointd wait`), or move away what is there."
        ) from None
    records.record_trashed(entry.path, rule=REPLACED, reason=_REASON, item=moved.id)
