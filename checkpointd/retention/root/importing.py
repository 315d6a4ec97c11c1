"""Brings into the ledger what the records of a root have beyond it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.retention.root import owner, pin_copy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.retention.root.record_file import RecordFile
    from checkpointd.retention.root.records import RootLedger


def import_records(
    watch: str,
    root: str,
    records: RootLedger,
    files: Mapping[str, RecordFile | None],
    *,
    written: str,
) -> None:
    """Add the pins of a root, and note what was pruned there by a ledger that had come further.

    Args:
        watch: the watch's name.
        root: its root.
        records: the ledger.
        files: the records of the root by name; None for what is not there.
        written: the digest of the owner's record that this process wrote; empty if it wrote none.

    Raises:
        LedgerError: the ledger cannot be written.
    """
    if copied := pin_copy.pins_in(root, files[pin_copy.NAME]):
        records.add_pins(copied)
    record = files[owner.NAME]
    if record is not None and not written and _is_ahead(watch, records, record):
        records.mark_unread(watch, owner.NAME, record.digest)
    records.confirm(watch)


def _is_ahead(watch: str, records: RootLedger, file: RecordFile) -> bool:
    """Whether a root was pruned last with a ledger that had come further than this one."""
    if file.digest == records.accepted(watch, owner.NAME):
        return False
    record = owner.owner_in(file)
    if record is None or record.ledger != records.identity:
        return False
    return record.progress > (records.progress if record.is_own else records.opening_progress)
