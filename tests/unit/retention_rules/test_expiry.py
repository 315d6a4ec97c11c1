"""The rules that remove by age."""

from __future__ import annotations

from checkpointd.retention_rules import SavedCheckpoint
from checkpointd.retention_rules.expiry import QuarantineTtl, Ttl

NOW, HOUR = 100_000_000.0, 3600.0


def test_the_time_counts_from_the_save_and_from_when_it_was_first_seen() -> None:
    """What was copied here with an old time rests as long as what was saved here."""
    old = SavedCheckpoint(1, NOW - 100 * HOUR)
    copied = SavedCheckpoint(2, NOW - 99 * HOUR, seen_at=NOW - HOUR)
    claimed = QuarantineTtl(50 * HOUR).claim([copied, old], NOW)
    assert claimed == {1: "it is invalid and older than quarantine_ttl = 2d2h"}
    assert Ttl(50 * HOUR).claim([copied, old], NOW) == {1: "it is older than ttl = 2d2h"}


def test_a_save_time_in_the_future_never_expires() -> None:
    """Its age is not known."""
    assert Ttl(1.0).claim([SavedCheckpoint(1, NOW + HOUR)], NOW) == {}
