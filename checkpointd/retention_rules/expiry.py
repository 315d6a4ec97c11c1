"""Rules that remove checkpoints by their age: valid ones, and invalid ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, ClassVar

from checkpointd.core.text import exact_duration
from checkpointd.retention_rules.spec import SavedCheckpoint, Value

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


@dataclass(frozen=True)
class Ttl:
    """Valid ones that were saved, and first seen, more than `seconds` ago."""

    name: ClassVar[str] = "ttl"
    seconds: Annotated[float, Value.DURATION]

    def claim(self, newest_first: Sequence[SavedCheckpoint], now: float) -> Mapping[int, str]:
        """Claim what is old enough."""
        reason = f"it is older than {self.name} = {exact_duration(self.seconds)}"
        return {c.id: reason for c in newest_first if _age(c, now) > self.seconds}


@dataclass(frozen=True)
class QuarantineTtl:
    """Invalid ones that were saved, and first seen, more than `seconds` ago."""

    name: ClassVar[str] = "quarantine_ttl"
    seconds: Annotated[float, Value.DURATION]

    def claim(self, newest_first: Sequence[SavedCheckpoint], now: float) -> Mapping[int, str]:
        """Claim what is old enough."""
        reason = f"it is invalid and older than {self.name} = {exact_duration(self.seconds)}"
        return {c.id: reason for c in newest_first if _age(c, now) > self.seconds}


def _age(checkpoint: SavedCheckpoint, now: float) -> float:
    """How long ago it was saved and seen: what was copied back with its old time is young."""
    return now - max(checkpoint.saved_at, checkpoint.seen_at)
