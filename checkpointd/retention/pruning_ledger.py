"""What carrying a plan out needs of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.ledger import BucketRemoval, Entry, Pin


class EntryReader(Protocol):
    """Returns the entry of a path."""

    def entry(self, path: str) -> Entry | None:
        """The entry of a path."""
        ...


class PruningLedger(EntryReader, Protocol):
    """What the pruner needs of the ledger; `checkpointd.ledger.Ledger` is one."""

    @property
    def identity(self) -> str:
        """The random id of the ledger."""
        ...

    def unknown_items(self, items: Iterable[str]) -> frozenset[str]:
        """Those items of a trash that the ledger has no record of."""
        ...

    def record_trashed(
        self, path: str, *, rule: str, reason: str, item: str, at: float | None = None
    ) -> None:
        """Record that a checkpoint was moved into the trash."""
        ...

    def record_restored(self, path: str, item: str) -> None:
        """Record that a checkpoint was restored."""
        ...

    def pin(self, path: str, note: str = "") -> Pin:
        """Protect a path."""
        ...


class BucketLedger(EntryReader, Protocol):
    """What the pruner of a bucket needs of the ledger; `checkpointd.ledger.Ledger` is one."""

    def bucket_removals(self, watch: str | None = None) -> list[BucketRemoval]:
        """What was removed from the bucket of a watch, and is being removed; newest first."""
        ...

    def put_bucket_removal(self, removal: BucketRemoval) -> None:
        """Record a removal, or another stage of one."""
        ...

    def finish_bucket_removal(self, removal: BucketRemoval) -> None:
        """Record that a removal is done, and the checkpoint pruned."""
        ...

    def forget_bucket_removals(self, items: list[str]) -> None:
        """Forget removals that were undone, or cannot be any more."""
        ...

    def record_restored(self, path: str, item: str) -> None:
        """Record that a checkpoint was restored."""
        ...

    def pin(self, path: str, note: str = "") -> Pin:
        """Protect a path."""
        ...
