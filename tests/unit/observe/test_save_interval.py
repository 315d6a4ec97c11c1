"""How often a series is saved."""

from __future__ import annotations

from checkpointd.observe.save_interval import save_interval


def test_the_interval_is_longer_than_three_of_four() -> None:
    """One pause changes nothing; copies, and series of two saves, have no interval."""
    steady = [600.0 * n for n in range(20)]
    assert save_interval(steady) == 600
    assert save_interval([*steady, steady[-1] + 86400]) == 600
    assert save_interval([0, 600]) is None
    assert save_interval([0, 0, 600, 600]) is None
    assert save_interval([float(n) for n in range(20)]) is None
    growing = [0, 60, 180, 420, 900]
    assert save_interval(growing) == 240
