"""The rules that remove invalid checkpoints."""

from __future__ import annotations

from checkpointd.retention_rules import SavedCheckpoint
from checkpointd.retention_rules.quarantine import QuarantineTtl

NOW, HOUR = 100_000_000.0, 3600.0


def test_the_time_counts_from_the_save_and_from_when_it_was_first_seen() -> None:
    """What was copied here with an old time rests as long as what was saved here."""
    old = SavedCheckpoint(1, NOW - 100 * HOUR)
    copied = SavedCheckpoint(2, NOW - 99 * HOUR, seen_at=NOW - HOUR)
    claimed = QuarantineTtl(50 * HOUR).claim([copied, old], NOW)
    assert claimed == {1: "it is invalid and older than quarantine_ttl = 2d2h"}
