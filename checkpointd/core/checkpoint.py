"""What is on disk: one checkpoint, its format, and the files it consists of."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.core.format_specs import Format

_SLOTS = {"slots": True} if sys.version_info >= (3, 10) else {}
"""The daemon has very many of these in memory while it plans."""


@dataclass(frozen=True, **_SLOTS)
class Member:
    """One file of a checkpoint and its identity.

    `name` is what is appended to the checkpoint's path: empty for the file itself,
    `.index` for a prefix, `/variables/variables.index` in a directory. `tag` is what an object
    store calls this content of an object (its ETag or generation); empty for a file.
    """

    name: str
    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    tag: str = ""


@dataclass(frozen=True, **_SLOTS)
class Generation:
    """One content of one checkpoint: the identity of its members, sorted by name."""

    members: tuple[Member, ...]

    @property
    def size_bytes(self) -> int:
        """The bytes of all members together."""
        return sum(m.size for m in self.members)

    @property
    def saved_at(self) -> float:
        """When the newest member was last written, in seconds since the epoch."""
        return max((m.mtime_ns for m in self.members), default=0) / 1e9

    @property
    def key(self) -> str:
        """Identity across time: names, sizes, times and a store's tags, never the device."""
        text = "\n".join(
            f"{m.name}\0{m.size}\0{m.mtime_ns}" + (f"\0{m.tag}" if m.tag else "")
            for m in self.members
        )
        return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:32]

    @property
    def inode_key(self) -> str:
        """What a chmod, a hard link or a remount changes without changing the content."""
        text = "\n".join(f"{m.inode}\0{m.ctime_ns}" for m in self.members)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    @property
    def identity(self) -> str:
        """Both keys: unchanged as long as no member was touched in any way."""
        return self.key + self.inode_key


@dataclass(frozen=True, **_SLOTS)
class Checkpoint:
    """One model artifact on disk and its position among others."""

    path: str
    format: Format
    watch: str = ""
    series: str = ""
    version: str = ""
    step: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
