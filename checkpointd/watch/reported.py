"""What a watch has reported of each path, so that unchanged files cost no read and no event."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from checkpointd.core.checkpoint import Generation

_KEY = 16
"""The bytes of `Generation.key`, with which `Generation.identity` begins."""


class GenerationComparison(enum.Enum):
    """How a generation on disk compares with what was reported of its path.

    METADATA_CHANGED: names, sizes and times are the same, but an inode or a mode is not.
    DUE: the path was reported, and has to be reported again.
    """

    NEW = "new"
    DUE = "due"
    SAME = "same"
    METADATA_CHANGED = "metadata_changed"
    REPLACED = "replaced"

    @property
    def is_reported(self) -> bool:
        """Whether the content was reported, and need not be reported again."""
        return self in (GenerationComparison.SAME, GenerationComparison.METADATA_CHANGED)


class ReportedGenerations:
    """The identity of each path that was reported, and of each that is not a checkpoint.

    Args:
        identities: what was reported before: `Generation.identity`, or `key` alone where no more
            is known; empty where the path has to be reported again.
    """

    def __init__(self, identities: Mapping[str, str]) -> None:
        self._identities = {path: _packed(text) for path, text in identities.items()}
        self._unknown: dict[str, str] = {}
        self._seen: dict[str, int] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._identities

    def __iter__(self) -> Iterator[str]:
        """Iterate over every path that was reported, or is not a checkpoint."""
        yield from self._identities
        yield from self._unknown

    @property
    def any_reported(self) -> bool:
        """Whether any path was reported."""
        return bool(self._identities)

    @property
    def unknown(self) -> int:
        """The number of files that are not checkpoints."""
        return len(self._unknown)

    def is_unchanged(self, path: str, generation: Generation) -> bool:
        """Whether nothing has changed since `mark_seen`: the cheapest comparison."""
        return self._seen.get(path) == hash(generation)

    def compare(self, path: str, generation: Generation) -> GenerationComparison:
        """Compare what is at a path now with what was reported of it."""
        identity = self._identities.get(path)
        if identity is None:
            return GenerationComparison.NEW
        if not identity:
            return GenerationComparison.DUE
        now = _packed(generation.identity)
        if now.startswith(identity):
            return GenerationComparison.SAME
        if identity[:_KEY] != now[:_KEY]:
            return GenerationComparison.REPLACED
        return GenerationComparison.METADATA_CHANGED

    def is_unknown(self, path: str, generation: Generation | None = None) -> bool:
        """Whether a path is not a checkpoint; with a generation, whether that one is not."""
        key = self._unknown.get(path)
        return key is not None and (generation is None or key == generation.key)

    def is_last_reported(self, path: str, key: str) -> bool:
        """Whether the generation of this key was reported last of a path."""
        return self._identities.get(path, b"")[:_KEY] == _packed(key)

    def record(self, path: str, generation: Generation) -> None:
        """Record what is reported."""
        self._identities[path] = _packed(generation.identity)
        self._unknown.pop(path, None)
        self.mark_seen(path, generation)

    def mark_seen(self, path: str, generation: Generation) -> None:
        """Record that nothing has to be reported of a path in its present state."""
        self._seen[path] = hash(generation)

    def require_report(self, path: str) -> None:
        """Record that a path has to be reported again; it stays one whose removal is an event."""
        self._identities[path] = b""
        self._seen.pop(path, None)

    def mark_unknown(self, path: str, generation: Generation) -> None:
        """Record that a path is not a checkpoint."""
        self._unknown[path] = generation.key
        self.mark_seen(path, generation)

    def clear_unknown(self, path: str) -> None:
        """Record that a path is a checkpoint after all."""
        self._unknown.pop(path, None)

    def forget(self, path: str) -> bool:
        """Forget a path; return whether it had been reported."""
        self._unknown.pop(path, None)
        self._seen.pop(path, None)
        return self._identities.pop(path, None) is not None


def _packed(text: str) -> bytes:
    """A key or an identity in half of the space: there may be very many."""
    return bytes.fromhex(text)
