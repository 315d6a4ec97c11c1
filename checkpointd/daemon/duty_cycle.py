"""`[worker] duty_cycle`: workers rest after each verification, to work only a share of the time.

Children take only CPU time that nothing else uses, but memory bandwidth, caches and disks are
shared all the same.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class DutyCycle:
    """Lets workers rest; used in one event loop.

    Args:
        share: returns the largest share of the time in which a worker may verify, as it is
            configured now; None for no limit.
    """

    def __init__(self, share: Callable[[], float | None]) -> None:
        self._share = share
        self._rests: list[float] = []

    @property
    def resting_until(self) -> float | None:
        """When the next worker that rests goes on, in seconds since the epoch; or None."""
        return min(self._rests, default=None)

    async def rest(self, worked: float) -> None:
        """Rest after a verification.

        Args:
            worked: the seconds that it took.
        """
        share = self._share()
        if share is None:
            return
        seconds = rest_after(worked, share)
        until = time.time() + seconds
        self._rests.append(until)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._rests.remove(until)


def rest_after(worked: float, share: float) -> float:
    """Return for how many seconds to rest, so that work is at most a share of both together."""
    return worked * (1 / share - 1)
