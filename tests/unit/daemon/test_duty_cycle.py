"""How long workers rest after a verification."""

from __future__ import annotations

import asyncio
import time

import pytest

from checkpointd.daemon.duty_cycle import DutyCycle, rest_after


@pytest.mark.parametrize(("share", "seconds"), [(0.5, 12.0), (0.25, 36.0), (0.8, 3.0)])
def test_work_is_at_most_the_share_of_work_and_rest(share: float, seconds: float) -> None:
    """After 12 s of work."""
    assert rest_after(12.0, share) == pytest.approx(seconds)


def test_status_shows_until_when_the_next_worker_rests() -> None:
    """Without a limit nobody rests; a change of the config counts from the next rest on."""
    share: list[float | None] = [None]

    async def run() -> None:
        duty = DutyCycle(lambda: share[0])
        await duty.rest(1000.0)
        assert duty.resting_until is None
        share[0] = 0.5
        rests = [asyncio.create_task(duty.rest(seconds)) for seconds in (200.0, 100.0)]
        await asyncio.sleep(0)
        assert duty.resting_until == pytest.approx(time.time() + 100, abs=30)
        for rest in rests:
            rest.cancel()
        await asyncio.gather(*rests, return_exceptions=True)
        assert duty.resting_until is None

    asyncio.run(run())
