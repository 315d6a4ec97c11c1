"""When a spare is made: not while a job uses every core."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from checkpointd.dispatch import host_cores, spare_pool

if TYPE_CHECKING:
    import pytest


def looks_until_idle(monkeypatch: pytest.MonkeyPatch, readings: list[float | None]) -> int:
    """Wait with these readings of idle time, one at each look; return how many were taken."""
    left = list(readings)
    monkeypatch.setattr(host_cores, "idle_seconds", lambda: left.pop(0))
    monkeypatch.setattr(spare_pool, "_IDLE_SECONDS", 0.01)
    monkeypatch.setattr(spare_pool, "_LOOK_SECONDS", 0.01)
    asyncio.run(spare_pool._until_idle())
    return len(readings) - len(left)


def test_it_waits_until_a_core_has_been_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle time that passed before does not count: each look compares its own two readings."""
    assert looks_until_idle(monkeypatch, [70.0, 70.0, 80.0, 80.001, 80.0, 90.0, 0.0]) == 6


def test_it_does_not_wait_where_idle_time_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that does not show it changes nothing."""
    assert looks_until_idle(monkeypatch, [None, None, 0.0]) == 2
