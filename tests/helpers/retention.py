"""A root with checkpoints, the ledger that knows them, and a pruner."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from checkpointd.config import RetentionSettings
from checkpointd.ledger import Entry, Ledger, State, WallAges
from checkpointd.retention import (
    Pruner,
    Removal,
    RetentionPlan,
    find_references,
    plan,
)
from checkpointd.retention.trash import TrashLimits
from tests.helpers.ledger import WRITERS, record_verdict

if TYPE_CHECKING:
    from pathlib import Path


def limits(now: float, ttl: float, **others: Any) -> TrashLimits:
    """Limits of the trash by the wall clock, on a disk that is never nearly full by itself."""
    return TrashLimits(ttl, WallAges(now), **{"min_free": lambda total: 0 * total, **others})


POLICY = RetentionSettings(keep_last=2, keep_min_valid=2, min_age="1ms", mode="enforce")


class Field:
    """A root, the ledger that knows what is in it, and a pruner."""

    def __init__(self, top: Path) -> None:
        self.root = top / "root"
        self.root.mkdir()
        (top / "state").mkdir()
        self.ledger = Ledger.open(top / "state")
        self.pruner = Pruner(str(self.root), self.ledger)

    def write(self, kind: str, count: int) -> list[Entry]:
        """Checkpoints `ckpt-0` and so on, each a second newer, all valid."""
        return [
            record_verdict(self.ledger, WRITERS[kind](self.root / f"ckpt-{n}", 1000.0 + n))
            for n in range(count)
        ]

    def plan(self, policy: RetentionSettings = POLICY) -> RetentionPlan:
        """What is to be done now."""
        named = find_references(str(self.root))
        return plan(self.ledger.entries("w"), policy, time.time(), named)

    def prune(self, policy: RetentionSettings = POLICY) -> list[Removal]:
        """RetentionPlan and carry out."""
        return self.pruner.apply(self.plan(policy))

    def state(self, name: str) -> State:
        """What the ledger holds of a checkpoint."""
        entry = self.ledger.entry(str(self.root / name))
        assert entry is not None
        return entry.state
