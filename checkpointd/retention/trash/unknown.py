"""Items of a trash that this ledger did not put there: it must not delete them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Protocol

from checkpointd.ledger import Pruned
from checkpointd.retention.trash.item import TrashItem, item_ids, read_item
from checkpointd.retention.trash.manifest import Stage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.retention.trash.place import TrashPlace


class ItemRecords(Protocol):
    """The ledger, as far as the trash needs it."""

    @property
    def identity(self) -> str:
        """The random id of the ledger."""
        ...

    def unknown_items(self, items: Iterable[str]) -> frozenset[str]:
        """Those items that the ledger has no record of."""
        ...


def unknown_items(place: TrashPlace, records: ItemRecords) -> list[TrashItem]:
    """The items of a trash that another ledger put there, oldest first.

    Raises:
        OSError: the trash is there and cannot be read.
    """
    items = []
    with contextlib.suppress(FileNotFoundError), place.opened() as trash_fd:
        for identity in sorted(records.unknown_items(item_ids(trash_fd))):
            item = read_item(place.root, trash_fd, identity)
            if item is None or item.stage is not Stage.DONE:
                continue
            if not records.identity or item.manifest.ledger != records.identity:
                items.append(item)
    return items


def pruned_of(item: TrashItem) -> Pruned:
    """The record of an item, from its manifest."""
    manifest = item.manifest
    return Pruned(
        path=item.path,
        watch=manifest.watch,
        at=manifest.at,
        rule=manifest.rule,
        reason=manifest.reason,
        size_bytes=manifest.size_bytes,
        item=item.id,
    )
