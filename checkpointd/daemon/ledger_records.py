"""The ledger as a pruner's thread uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.ledger import DepartedCheckpoint, Entry, Ledger, Pin

if TYPE_CHECKING:
    from checkpointd.daemon.threads import LedgerThread


class LedgerRecords:
    """What retention reads and writes; each call waits for the ledger's thread."""

    def __init__(self, ledger: LedgerThread) -> None:
        self._ledger = ledger

    def entry(self, path: str) -> Entry | None:
        """The entry of a path."""
        return self._ledger.wait(Ledger.entry, path)

    def entries(self, watch: str | None = None) -> list[Entry]:
        """All entries of a watch."""
        return self._ledger.wait(Ledger.entries, watch)

    def departed(self, watch: str) -> list[DepartedCheckpoint]:
        """What was known of a watch and is gone or in the trash."""
        return self._ledger.wait(Ledger.departed, watch)

    def unconfirmed(self, watch: str) -> bool:
        """Whether the ledger was lost, and not all has been verified again."""
        return not self._ledger.wait(Ledger.confirm, watch)

    def record_trashed(
        self, path: str, *, rule: str, reason: str, item: str, at: float | None = None
    ) -> None:
        """Record that a checkpoint was moved into the trash."""
        self._ledger.wait(Ledger.record_trashed, path, rule=rule, reason=reason, item=item, at=at)

    def record_restored(self, path: str, item: str) -> None:
        """Record that a checkpoint came back."""
        self._ledger.wait(Ledger.record_restored, path, item)

    def pin(self, path: str, note: str = "") -> Pin:
        """Protect a path."""
        return self._ledger.wait(Ledger.pin, path, note)
