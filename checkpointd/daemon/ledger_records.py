"""The ledger as a pruner's thread uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.daemon.grouped_calls import GroupedCalls
from checkpointd.ledger import (
    Ages,
    BucketRemoval,
    DepartedCheckpoint,
    Entry,
    KnownTrash,
    Ledger,
    Moved,
    Pin,
    PolicyRecords,
    Pruned,
    TrashTtl,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from checkpointd.daemon.threads import LedgerThread


class LedgerRecords:
    """What retention reads and writes; each call waits for the ledger's thread."""

    def __init__(self, ledger: LedgerThread) -> None:
        self._ledger = ledger
        self._entry = GroupedCalls[str, Entry | None](ledger, Ledger.entries_at)
        self._trashed = GroupedCalls[Moved, None](ledger, _record_all_trashed)

    @property
    def identity(self) -> str:
        """The random id of the ledger."""
        return self._ledger.wait(lambda ledger: ledger.identity)

    @property
    def progress(self) -> int:
        """A counter that only increases."""
        return self._ledger.wait(lambda ledger: ledger.progress)

    @property
    def opening_progress(self) -> int:
        """The value of `progress` when the ledger was opened."""
        return self._ledger.wait(lambda ledger: ledger.opening_progress)

    def entry(self, path: str) -> Entry | None:
        """The entry of a path, with a summary of its report."""
        return self._entry(path)

    def digest_of(self, entry: Entry) -> str:
        """The digest of a checkpoint's verified content; empty where none was recorded."""
        return self._ledger.wait(Ledger.digest_of, entry.path, entry.generation)

    def entries(self, watch: str | None = None) -> list[Entry]:
        """All entries of a watch, in no order."""
        return self._ledger.wait(Ledger.entries, watch, is_sorted=False)

    def departed(self, watch: str) -> list[DepartedCheckpoint]:
        """Checkpoints of a watch that are gone or in the trash."""
        return self._ledger.wait(Ledger.departed, watch)

    def unconfirmed(self, watch: str) -> bool:
        """Whether a lost ledger still holds the pruning of a watch."""
        return self._ledger.wait(Ledger.unconfirmed, watch)

    def confirm(self, watch: str) -> bool:
        """End that hold if the new ledger was accepted and every checkpoint has a verdict again."""
        return self._ledger.wait(Ledger.confirm, watch)

    def policy_records(self, watch: str) -> PolicyRecords:
        """Which policies were accepted for a watch."""
        return self._ledger.wait(Ledger.policy_records, watch)

    def record_policies(self, watch: str, records: PolicyRecords) -> None:
        """Record which policies are accepted for a watch."""
        self._ledger.wait(Ledger.record_policies, watch, records)

    def replicated(self, watch: str, destination: str) -> dict[str, float]:
        """The paths whose present content is copied to a URL, and when it was last seen there."""
        return self._ledger.wait(Ledger.replicated, watch, destination)

    def last_sequence(self) -> int:
        """The sequence of the generation that was seen last."""
        return self._ledger.wait(Ledger.last_sequence)

    def ages(self) -> Ages:
        """How old the times in the ledger are; the clock is read and stored."""
        return self._ledger.wait(Ledger.advance_clock)

    def largest_bytes(self, watch: str) -> int:
        """The size of the largest valid checkpoint that is in a watch."""
        return self._ledger.wait(Ledger.largest_bytes, watch)

    def record_trash(self, trash: KnownTrash) -> None:
        """Record that checkpoints of a watch are moved to a trash."""
        self._ledger.wait(Ledger.record_trash, trash)

    def trashes(self) -> list[KnownTrash]:
        """Every trash that something was moved to."""
        return self._ledger.wait(Ledger.trashes)

    def trash_ttl(self, watch: str) -> TrashTtl | None:
        """For how long items of the trash of a watch stay."""
        return self._ledger.wait(Ledger.trash_ttl, watch)

    def record_trash_ttl(self, watch: str, ttl: TrashTtl) -> None:
        """Record for how long items of the trash of a watch stay."""
        self._ledger.wait(Ledger.record_trash_ttl, watch, ttl)

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
        self._trashed(Moved(path, rule, reason, item, at))

    def bucket_removals(self, watch: str | None = None) -> list[BucketRemoval]:
        """What was removed from the bucket of a watch, and is being removed."""
        return self._ledger.wait(Ledger.bucket_removals, watch)

    def put_bucket_removal(self, removal: BucketRemoval) -> None:
        """Record a removal from a bucket, or another stage of one."""
        self._ledger.wait(Ledger.put_bucket_removal, removal)

    def finish_bucket_removal(self, removal: BucketRemoval) -> None:
        """Record that a removal from a bucket is done."""
        self._ledger.wait(Ledger.finish_bucket_removal, removal)

    def forget_bucket_removals(self, items: list[str]) -> None:
        """Forget removals from buckets that were undone, or cannot be any more."""
        self._ledger.wait(Ledger.forget_bucket_removals, items)

    def record_restored(self, path: str, item: str) -> None:
        """Record that a checkpoint came back."""
        self._ledger.wait(Ledger.record_restored, path, item)

    def pin(self, path: str, note: str = "") -> Pin:
        """Protect a path."""
        return self._ledger.wait(Ledger.pin, path, note)

    def unverified_since_lost(self, watch: str) -> int:
        """How many checkpoints have had no verdict since the ledger was lost."""
        return self._ledger.wait(Ledger.unverified_since_lost, watch)

    def accepted(self, watch: str, name: str) -> str:
        """The digest of a file of the root's records that a person has accepted."""
        return self._ledger.wait(Ledger.accepted, watch, name)

    def unread(self, watch: str) -> int:
        """How many checkpoints must be read again, because an older ledger was restored."""
        return self._ledger.wait(Ledger.unread, watch)

    def pins_below(self, root: str) -> list[Pin]:
        """What is pinned and tagged below a root."""
        return self._ledger.wait(Ledger.pins_below, root)

    def removed_pins(self, identities: Iterable[str]) -> frozenset[str]:
        """Those pins and tags that were removed."""
        return self._ledger.wait(Ledger.removed_pins, list(identities))

    def unknown_items(self, items: Iterable[str]) -> frozenset[str]:
        """Those items of a trash that the ledger has no record of."""
        return self._ledger.wait(Ledger.unknown_items, list(items))

    def add_pins(self, pins: Iterable[Pin]) -> list[Pin]:
        """Add the pins and tags of a copy."""
        return self._ledger.wait(Ledger.add_pins, list(pins))

    def begin_root(self, watch: str, path: str, device: int, inode: int) -> list[Pin]:
        """Record where the root of a watch is."""
        return self._ledger.wait(Ledger.begin_root, watch, path, device, inode)

    def mark_unread(self, watch: str, name: str, digest: str) -> int:
        """Require that everything of a watch is read again."""
        return self._ledger.wait(Ledger.mark_unread, watch, name, digest)

    def accept(self, watch: str, records: Mapping[str, str], items: Iterable[Pruned] = ()) -> None:
        """Record what a person has accepted."""
        self._ledger.wait(Ledger.accept, watch, records, list(items))


def _record_all_trashed(ledger: Ledger, moved: list[Moved]) -> list[None]:
    ledger.record_all_trashed(moved)
    return [None] * len(moved)
