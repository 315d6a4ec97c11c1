"""The rules that keep by the place in the series."""

from __future__ import annotations

from checkpointd.retention_rules import SavedCheckpoint
from checkpointd.retention_rules.latest import KeepEvery, KeepLast

NOW, HOUR = 100_000_000.0, 3600.0
HOURLY = [SavedCheckpoint(i, NOW - i * HOUR) for i in range(1, 6)]


def test_keep_last_numbers_what_it_keeps() -> None:
    """The newest is the first."""
    claimed = KeepLast(2).claim(HOURLY, NOW)
    assert set(claimed) == {1, 2}
    assert claimed[2] == "it is number 2 of the 2 newest valid ones (keep_last = 2)"
    assert set(KeepLast(9).claim(HOURLY, NOW)) == {1, 2, 3, 4, 5}


def test_keep_every_is_greedy_from_the_oldest() -> None:
    """The oldest stays, and each that is so much later than the one kept before it."""
    claimed = KeepEvery(1.5 * HOUR).claim(HOURLY, NOW)
    assert claimed == {
        5: "it is the oldest valid one (keep_every)",
        3: "it was saved at least 1h30m after the one kept before it (keep_every)",
        1: "it was saved at least 1h30m after the one kept before it (keep_every)",
    }
    assert set(KeepEvery(2 * HOUR).claim(HOURLY, NOW)) == {5, 3, 1}
    assert set(KeepEvery(9 * HOUR).claim(HOURLY, NOW)) == {5}


def test_nothing_is_claimed_of_an_empty_series() -> None:
    """A series may have no valid checkpoint."""
    assert KeepLast(2).claim([], NOW) == {}
    assert KeepEvery(1.0).claim([], NOW) == {}
