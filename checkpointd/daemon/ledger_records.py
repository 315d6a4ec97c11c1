"""The ledger as a pruner's thread uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.ledger import Ages, Entry, KnownTrash, Ledger, Pin, PolicyRecords

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

    def unconfirmed(self, watch: str) -> bool:
        """Whether the ledger was lost, and not all has been verified again."""
        return not self._ledger.wait(Ledger.confirm, watch)

    def policy_records(self, watch: str) -> PolicyRecords:
        """Which policies were accepted for a watch."""
        return self._ledger.wait(Ledger.policy_records, watch)

    def record_policies(self, watch: str, records: PolicyRecords) -> None:
        """Record which policies are accepted for a watch."""
        self._ledger.wait(Ledger.record_policies, watch, records)

    def last_sequence(self) -> int:
        """The sequence of the generation that was seen last."""
        return self._ledger.wait(Ledger.last_sequence)

    def ages(self) -> Ages:
        """How old the times in the ledger are; the clock is read and stored."""
        return self._ledger.wait(Ledger.advance_clock)

    def largest_bytes(self, watch: str) -> int:
        """The size of the largest checkpoint that is in a watch."""
        return self._ledger.wait(Ledger.largest_bytes, watch)

    def record_trash(self, trash: KnownTrash) -> None:
        """Record that checkpoints of a watch are moved to a trash."""
        self._ledger.wait(Ledger.record_trash, trash)

    def trashes(self) -> list[KnownTrash]:
        """Every trash that something was moved to."""
        return self._ledger.wait(Ledger.trashes)

    def forget_trash(self, directory: str) -> None:
        """Forget a trash that is empty."""
        self._ledger.wait(Ledger.forget_trash, directory)

    def enforced_policy(self, watch: str) -> str:
        """The digest of the policy that was last carried out in a watch."""
        return self._ledger.wait(Ledger.enforced_policy, watch)

    def record_enforced_policy(self, watch: str, digest: str) -> None:
        """Record under which policy a watch has been pruned."""
        self._ledger.wait(Ledger.record_enforced_policy, watch, digest)

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
