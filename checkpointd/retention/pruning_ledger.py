"""What carrying a plan out needs of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.ledger import Entry, Pin


class PruningLedger(Protocol):
    """What the pruner needs of the ledger; `checkpointd.ledger.Ledger` is one."""

    @property
    def identity(self) -> str:
        """The random id of the ledger."""
        ...

    def unknown_items(self, items: Iterable[str]) -> frozenset[str]:
        """Those items of a trash that the ledger has no record of."""
        ...

    def entry(self, path: str) -> Entry | None:
        """The entry of a path."""
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
