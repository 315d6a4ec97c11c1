"""What state files on disk say of the order of saving, for the plan and for `latest`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from checkpointd.core.format_specs import Format
from checkpointd.formats import state_file
from checkpointd.retention.saving_order import SavingOrder
from checkpointd.retention.spellings import Spellings
from checkpointd.retention.state_references import read_state_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from checkpointd.ledger import Entry
    from checkpointd.retention.state_references import StateReferences


class NameSpellings(Protocol):
    """Translates other names of paths below a root."""

    def of_names(self, paths: Iterable[str]) -> Iterator[str]:
        """Each path, and what else it may be called below the root."""
        ...


def saving_order_of(path: str, state: StateReferences, spellings: NameSpellings) -> SavingOrder:
    """What a state file says of the order, without names that stand for two of its list."""
    places: dict[str, int] = {}
    ambiguous = set[str]()
    for place, names in enumerate(state.saved):
        for name in spellings.of_names(names):
            if places.setdefault(name, place) != place:
                ambiguous.add(name)
    exact = {name: place for name, place in places.items() if name not in ambiguous}
    return SavingOrder(path, exact, state.timestamps, state.written_at)


def saving_orders_beside(entries: Iterable[Entry]) -> tuple[SavingOrder, ...]:
    """What the state files beside checkpoints say; one that cannot be read says nothing."""
    directories = dict.fromkeys(
        os.path.dirname(entry.path)
        for entry in entries
        if entry.checkpoint.format is Format.TF_CHECKPOINT
    )
    orders = []
    for directory in directories:
        path = f"{directory}/{state_file.NAME}"
        state = read_state_file(path, must_be_one=True)
        if len(state.saved) > 1:
            orders.append(saving_order_of(path, state, Spellings(directory)))
    return tuple(orders)
