"""What inspecting a root and updating its records needs of the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from checkpointd.ledger import KnownTrash, Pin, Pruned


class RootReader(Protocol):
    """What inspecting a root needs of the ledger; one that is open for reading is enough."""

    @property
    def identity(self) -> str:
        """The random id of the ledger."""
        ...

    @property
    def progress(self) -> int:
        """A counter that only increases."""
        ...

    def unconfirmed(self, watch: str) -> bool:
        """Whether a lost ledger still holds the pruning of a watch."""
        ...

    def unverified_since_lost(self, watch: str) -> int:
        """How many have no verdict since then."""
        ...

    def accepted(self, watch: str, name: str) -> str:
        """The digest of a file of the records that a person has accepted."""
        ...

    def unread(self, watch: str) -> int:
        """How many checkpoints must be read again, because an older ledger was restored."""
        ...

    def pins_below(self, root: str) -> list[Pin]:
        """What is pinned and tagged below a root."""
        ...

    def removed_pins(self, identities: Iterable[str]) -> frozenset[str]:
        """Those pins and tags that were removed."""
        ...

    def unknown_items(self, items: Iterable[str]) -> frozenset[str]:
        """Those items of a trash that the ledger has no record of."""
        ...


class RootLedger(RootReader, Protocol):
    """What updating a root's records needs of the ledger."""

    @property
    def opening_progress(self) -> int:
        """`progress` when the ledger was opened, before this process wrote anything."""
        ...

    def trashes(self) -> list[KnownTrash]:
        """Every trash that something was moved to."""
        ...

    def forget_trash(self, directory: str) -> None:
        """Forget a trash that is empty or has another name."""
        ...

    def confirm(self, watch: str) -> bool:
        """End the hold after a lost ledger, if it may end."""
        ...

    def add_pins(self, pins: Iterable[Pin]) -> list[Pin]:
        """Add the pins and tags of a copy."""
        ...

    def begin_root(self, watch: str, path: str, device: int, inode: int) -> list[Pin]:
        """Record where the root is."""
        ...

    def mark_unread(self, watch: str, name: str, digest: str) -> int:
        """Require that everything is read again."""
        ...

    def accept(self, watch: str, records: Mapping[str, str], items: Iterable[Pruned] = ()) -> None:
        """Record what a person has accepted."""
        ...
