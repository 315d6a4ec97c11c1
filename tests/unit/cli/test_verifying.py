"""The one-shot verification: several at once, printed in order."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.cli.verifying import Target, verify_here
from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.core.request import Answer, End

if TYPE_CHECKING:
    from checkpointd.core.request import Request


class Backwards:
    """A dispatcher that ends what it began last first; it says how many ran at once."""

    def __init__(self, total: int) -> None:
        self.running: list[asyncio.Event] = []
        self.cancelled = 0
        self._total = total
        self._all_run = asyncio.Event()

    async def verify(self, request: Request, on_check: Any = None) -> Answer:
        """Wait until all have begun and all later ones have ended."""
        ended = asyncio.Event()
        number = len(self.running)
        self.running.append(ended)
        try:
            if len(self.running) == self._total:
                self._all_run.set()
            await self._all_run.wait()
            for later in self.running[number + 1 :]:
                await later.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        ended.set()
        return Answer(End.UNKNOWN, f"This is {request.checkpoint.path}.")


def targets(count: int) -> list[Target]:
    """Checkpoints with numbers for names."""
    return [Target(str(i), Checkpoint(str(i), Format.HDF5)) for i in range(count)]


def test_results_come_in_the_order_of_the_arguments() -> None:
    """Whichever ends first."""

    async def all_of_them() -> list[str]:
        dispatcher: Any = Backwards(4)
        results = verify_here(targets(4), dispatcher, lambda _target, _check: None, 4)
        return [public["path"] async for public in results]

    assert asyncio.run(all_of_them()) == ["0", "1", "2", "3"]


def test_what_is_still_running_ends_where_the_caller_gives_up() -> None:
    """No child goes on for nobody."""

    async def interrupted() -> int:
        dispatcher = Backwards(4)
        anyhow: Any = dispatcher
        results = verify_here(targets(4), anyhow, lambda _target, _check: None, 3)
        first = asyncio.ensure_future(anext(results))
        await asyncio.sleep(0.01)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        return dispatcher.cancelled

    assert asyncio.run(interrupted()) == 3
