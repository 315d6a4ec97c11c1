"""What a watch has told of each path, so that what has not changed costs no read and no word."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from checkpointd.core.checkpoint import Generation

_KEY = 32
"""The length of `Generation.key`, with which `Generation.identity` begins."""


class Comparison(enum.Enum):
    """How a generation on disk compares with what was told of its path.

    TOUCHED: names, sizes and times are the same, but somebody has changed an inode or a mode.
    OWED: something was told and wants to be told again.
    """

    NEW = "new"
    OWED = "owed"
    SAME = "same"
    TOUCHED = "touched"
    OTHER = "other"


class ReportedGenerations:
    """The identity of each path that was told, and of each that is no checkpoint.

    Args:
        told: what was told before: `Generation.identity`, or `key` alone where that is all that is
            known; empty where the path is to be told again.
    """

    def __init__(self, told: Mapping[str, str]) -> None:
        self._told = dict(told)
        self._unknown: dict[str, str] = {}
        self._looks: dict[str, int] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._told

    def __iter__(self) -> Iterator[str]:
        """Every path that was told, or is no checkpoint."""
        yield from self._told
        yield from self._unknown

    @property
    def told(self) -> int:
        """How many paths were told."""
        return len(self._told)

    @property
    def unknown(self) -> int:
        """How many files there are that are no checkpoints."""
        return len(self._unknown)

    def is_as_looked_at(self, path: str, generation: Generation) -> bool:
        """Whether nothing at all has happened since `settle`; the quickest answer there is."""
        return self._looks.get(path) == hash(generation)

    def compare(self, path: str, generation: Generation) -> Comparison:
        """Hold what lies at a path now against what was told of it."""
        told = self._told.get(path)
        if told is None:
            return Comparison.NEW
        if not told:
            return Comparison.OWED
        if told[:_KEY] != generation.key:
            return Comparison.OTHER
        return Comparison.SAME if generation.identity.startswith(told) else Comparison.TOUCHED

    def is_unknown(self, path: str, generation: Generation | None = None) -> bool:
        """Whether it is no checkpoint, and still has the content of which that was found out."""
        key = self._unknown.get(path)
        return key is not None and (generation is None or key == generation.key)

    def is_told(self, path: str, key: str) -> bool:
        """Whether a key's generation is what was last told of a path."""
        return self._told.get(path, "")[:_KEY] == key

    def tell(self, path: str, generation: Generation) -> None:
        """Note what is told."""
        self._told[path] = generation.identity
        self._unknown.pop(path, None)
        self.settle(path, generation)

    def settle(self, path: str, generation: Generation) -> None:
        """Note that there is nothing to be told of a path as it lies there now."""
        self._looks[path] = hash(generation)

    def owe(self, path: str) -> None:
        """Note that a path is to be told again; its going is news all the same."""
        self._told[path] = ""
        self._looks.pop(path, None)

    def dismiss(self, path: str, generation: Generation) -> None:
        """Note that a path is no checkpoint."""
        self._unknown[path] = generation.key
        self.settle(path, generation)

    def admit(self, path: str) -> None:
        """Take that back."""
        self._unknown.pop(path, None)

    def forget(self, path: str) -> bool:
        """Know nothing of a path any more; whether anything was told of it."""
        self._unknown.pop(path, None)
        self._looks.pop(path, None)
        return self._told.pop(path, None) is not None
