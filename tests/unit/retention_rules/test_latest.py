"""The rules that keep the most recent checkpoints."""

from __future__ import annotations

from checkpointd.retention_rules import SavedCheckpoint
from checkpointd.retention_rules.latest import KeepLast, KeepWithin

NOW, HOUR = 100_000_000.0, 3600.0
HOURLY = [SavedCheckpoint(i, NOW - i * HOUR) for i in range(1, 6)]


def test_keep_last_numbers_what_it_keeps() -> None:
    """The newest is the first."""
    claimed = KeepLast(2).claim(HOURLY, NOW)
    assert set(claimed) == {1, 2}
    assert claimed[2] == "it is number 2 of the 2 newest valid ones (keep_last = 2)"
    assert set(KeepLast(9).claim(HOURLY, NOW)) == {1, 2, 3, 4, 5}


def test_keep_within_counts_from_the_newest_one() -> None:
    """A job that has stopped loses nothing by waiting."""
    long_after = NOW + 365 * 24 * HOUR
    claimed = KeepWithin(2 * HOUR).claim(HOURLY, long_after)
    assert set(claimed) == {1, 2, 3}
    assert claimed[3] == "it was saved within 2h of the newest valid one (keep_within)"


def test_a_save_time_in_the_future_shortens_nothing() -> None:
    """A clock that ran ahead once must not age all others out at once."""
    future = SavedCheckpoint(9, NOW + 1000 * HOUR)
    claimed = KeepWithin(2 * HOUR).claim([future, *HOURLY], NOW)
    assert set(claimed) == {9, 1, 2, 3}
    assert claimed[9] == "its save time is in the future (keep_within)"
    alone = [SavedCheckpoint(i, NOW + i) for i in range(3, 0, -1)]
    assert set(KeepWithin(1.0).claim(alone, NOW)) == {1, 2, 3}


def test_nothing_is_claimed_of_an_empty_series() -> None:
    """A series may have no valid checkpoint."""
    assert KeepLast(2).claim([], NOW) == {}
    assert KeepWithin(1.0).claim([], NOW) == {}
