"""The order in which the objects of a checkpoint are deleted; pure.

First goes that without which every reader refuses the rest, so that a removal that is cut short
leaves nothing that looks whole; it is brought back last.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.formats.names import GRAPH_FILES, KERAS_CONFIG, KERAS_METADATA

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.core.checkpoint import Member

_FIRST = frozenset(
    {"", ".index", *(f"/{name}" for name in (*GRAPH_FILES, KERAS_CONFIG, KERAS_METADATA))}
)
"""A file or a map of shards, the index of a bundle, the graph of a SavedModel, Keras's config."""

_NEXT = (".index", ".pb", ".json", ".meta")


def deletion_order(members: Iterable[Member]) -> list[Member]:
    """Return the members of a checkpoint in the order in which they are deleted."""
    return sorted(members, key=lambda member: (_rank(member.name), member.name))


def _rank(name: str) -> int:
    if name in _FIRST:
        return 0
    return 1 if name.endswith(_NEXT) else 2
