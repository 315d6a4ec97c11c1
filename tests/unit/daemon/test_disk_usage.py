"""When a disk will be full: by its own rate, and only where that is known."""

from __future__ import annotations

import pytest

from checkpointd.daemon.disk_usage import DiskTrend

MIB = 2**20


def trend(*free: int, every: float = 60.0) -> DiskTrend:
    """One that has measured at regular times."""
    made = DiskTrend()
    for number, count in enumerate(free):
        made.note(number * every, count * MIB)
    return made


def test_a_disk_that_fills_steadily_is_full_when_its_rate_says() -> None:
    """10 MiB a minute leave 400 MiB for 40 minutes."""
    assert trend(*range(500, 390, -10)).seconds_left() == pytest.approx(2400)


@pytest.mark.parametrize(
    "free", [(500,) * 20, tuple(range(100, 300, 10)), (500, 400, 300), (500, 100)]
)
def test_a_disk_that_does_not_fill_or_was_just_seen_has_no_end(free: tuple[int, ...]) -> None:
    """Constant, emptying, or followed for less than five minutes."""
    assert trend(*free).seconds_left() is None


def test_what_is_older_than_an_hour_is_forgotten() -> None:
    """A disk that was filled yesterday is not full tomorrow; short bursts are one sample."""
    made = trend(*range(1000, 400, -10), *[400] * 61)
    assert made.seconds == 3600
    assert made.seconds_left() is None
    quick = trend(*range(500, 400, -1), every=1.0)
    assert quick.seconds_left() is None
