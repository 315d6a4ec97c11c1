"""Whose turn it is: children run together, unless one has to be alone."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Turns:
    """Lets children run at the same time, or one of them while no other does."""

    def __init__(self) -> None:
        self._changed = asyncio.Condition()
        self._running = 0
        self._alone = 0

    @contextlib.asynccontextmanager
    async def together(self) -> AsyncIterator[None]:
        """Run beside others, after whoever is alone or waits to be."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._alone)
            self._running += 1
        try:
            yield
        finally:
            await self._ended()

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Run when nobody else does; nobody begins meanwhile."""
        self._alone += 1
        try:
            async with self._changed:
                await self._changed.wait_for(lambda: not self._running)
                self._running += 1
            try:
                yield
            finally:
                self._running -= 1
        finally:
            self._alone -= 1
            await self._notify()

    async def _ended(self) -> None:
        self._running -= 1
        await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
