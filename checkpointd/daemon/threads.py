"""Threads of their own for what may block: the ledger's fsyncs, each watch's file system."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from checkpointd.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

P = ParamSpec("P")
T = TypeVar("T")


class LedgerThread:
    """The ledger, used from one thread only; call it with a method and its arguments.

    `await thread(Ledger.entry, path)` from the event loop, `thread.wait(Ledger.entry, path)` from
    any other thread.
    """

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._ledger: Ledger | None = None

    async def open(self, state_dir: Path) -> Ledger:
        """Open the ledger in its thread.

        Raises:
            checkpointd.ledger.LedgerError: it cannot be opened.
        """
        loop = asyncio.get_running_loop()
        self._ledger = await loop.run_in_executor(self._executor, Ledger.open, state_dir)
        return self._ledger

    def _bind(
        self, method: Callable[Concatenate[Ledger, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Callable[[], T]:
        if self._ledger is None:
            raise RuntimeError("the ledger is not open")
        return partial(method, self._ledger, *args, **kwargs)

    async def __call__(
        self, method: Callable[Concatenate[Ledger, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a method of the ledger without blocking the loop."""
        call = self._bind(method, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    def wait(
        self, method: Callable[Concatenate[Ledger, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Call a method of the ledger from a thread that may block."""
        return self._executor.submit(self._bind(method, *args, **kwargs)).result()

    async def close(self) -> None:
        """Close the ledger after what was asked of it is done."""
        if self._ledger is not None:
            await self(Ledger.close)
            self._ledger = None
        self._executor.shutdown(wait=False)


class DiskThread:
    """One thread for the file system of one watch; a hung disk stays in its room."""

    def __init__(self, watch: str) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"disk-{watch}")

    async def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that touches the watch's file system."""
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, partial(function, *args, **kwargs)
        )

    def close(self) -> None:
        """Let the thread go; one that hangs is not waited for."""
        self._executor.shutdown(wait=False, cancel_futures=True)
