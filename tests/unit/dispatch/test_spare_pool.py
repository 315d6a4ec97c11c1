"""When a spare is made: not while a job uses every core."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from checkpointd.dispatch import host_cores, spare_pool

if TYPE_CHECKING:
    import pytest

_SECONDS = 0.02


def looks_until_idle(
    monkeypatch: pytest.MonkeyPatch, busy: list[tuple[float, float]], cores: int = 2
) -> int:
    """Wait, with what is read before and after each look; return how many were taken."""
    left = [seconds for pair in busy for seconds in pair]
    monkeypatch.setattr(host_cores, "busy_seconds", lambda: (cores, left.pop(0)))
    monkeypatch.setattr(spare_pool, "_IDLE_SECONDS", _SECONDS)
    monkeypatch.setattr(spare_pool, "_LOOK_SECONDS", _SECONDS)
    asyncio.run(spare_pool._until_idle())
    return len(busy) - len(left) // 2


def test_it_waits_until_a_core_has_been_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle time that passed before does not count: each look compares its own two readings."""
    all_cores, one_core = 100 * _SECONDS, _SECONDS
    looks = [(7.0, 7.0 + all_cores), (7.0, 7.0 + all_cores), (20.0, 20.0 + one_core), (20.0, 20.0)]
    assert looks_until_idle(monkeypatch, looks) == 3


def test_it_does_not_wait_where_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither where no core is shown, nor where their time stands still, as in gVisor."""
    assert looks_until_idle(monkeypatch, [(0.0, 0.0)] * 2, cores=0) == 1
    assert looks_until_idle(monkeypatch, [(0.0, 0.0)] * 2, cores=8) == 1
