"""A lock that many may hold together, or one alone."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class SharedLock:
    """Lets children run at the same time, or one of them while no other runs."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._running = 0
        self._exclusive = 0

    @contextlib.asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Hold it beside others; waits for an exclusive holder, and for one that is waiting."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._exclusive)
            self._running += 1
        try:
            yield
        finally:
            self._running -= 1
            await self._notify()

    @contextlib.asynccontextmanager
    async def exclusive(self) -> AsyncIterator[None]:
        """Hold it alone; no shared holder begins meanwhile."""
        self._exclusive += 1
        try:
            async with self._changed:
                await self._changed.wait_for(lambda: not self._running)
                self._running += 1
            try:
                yield
            finally:
                self._running -= 1
        finally:
            self._exclusive -= 1
            await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
