"""Threads for blocking work: the ledger's fsyncs, and each watch's file system."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import structlog

from checkpointd.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from checkpointd.ledger import Change

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger()


class LedgerThread:
    """The ledger, used from one thread only; call it with a method and its arguments.

    `await thread(Ledger.entry, path)` from the event loop, `thread.wait(Ledger.entry, path)` from
    any other thread. The daemon writes the ledger here and nowhere else, so this is where changes
    are emitted: whatever a call changed reaches the event loop before the call's result.

    Args:
        emit: called in the event loop with the changes of one call.
    """

    def __init__(self, emit: Callable[[list[Change]], None] = lambda _changes: None) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        self._ledger: Ledger | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._emit = emit

    async def open(self, state_dir: Path) -> Ledger:
        """Open the ledger in its thread.

        Raises:
            checkpointd.ledger.LedgerError: it cannot be opened.
        """
        loop = self._loop = asyncio.get_running_loop()
        self._ledger = await loop.run_in_executor(self._executor, Ledger.open, state_dir)
        self._ledger.take_changes()
        if self._ledger.is_replacement:
            log.warning(
                "the ledger was lost or broken, a new one was created; what was broken is kept "
                "beside it, every checkpoint is verified again, pruning is on hold meanwhile",
                state=str(state_dir),
            )
        return self._ledger

    def _bind(
        self, method: Callable[Concatenate[Ledger, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Callable[[], T]:
        if self._ledger is None:
            raise RuntimeError("the ledger is not open")
        return partial(self._call, self._ledger, partial(method, self._ledger, *args, **kwargs))

    def _call(self, ledger: Ledger, call: Callable[[], T]) -> T:
        """Run a call in the ledger's thread, and emit what it changed even if it then failed."""
        try:
            return call()
        finally:
            if changes := ledger.take_changes():
                self.in_loop(self._emit, changes)

    def in_loop(self, function: Callable[[T], None], value: T) -> None:
        """Call a function in the event loop, in order with the changes; from the ledger's thread.

        What was read from the ledger and is handed over in this way is neither older nor newer
        than the changes that were emitted before.
        """
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(function, value)

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
    """One thread for the file system of one watch; a hung disk blocks no other.

    No executor: those wait for their threads when Python ends, and a hung disk would keep the
    process alive.
    """

    def __init__(self, watch: str) -> None:
        self._calls: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = (
            queue.SimpleQueue()
        )
        self._closed = False
        self._end: Future[None] = Future()
        self._end.set_running_or_notify_cancel()
        threading.Thread(target=self._work, name=f"disk-{watch}", daemon=True).start()

    async def __call__(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call a function that touches the watch's file system.

        A caller that is cancelled while it waits withdraws a call that has not begun; one that has
        begun goes on.

        Raises:
            OSError: the thread is closed.
        """
        if self._closed:
            raise _closed_error()
        future: Future[T] = Future()
        self._calls.put((future, partial(function, *args, **kwargs)))
        return await asyncio.wrap_future(future)

    def close(self) -> None:
        """Stop the thread: calls that have not begun fail, and one that hangs is not waited for."""
        if not self._closed:
            self._closed = True
            self._calls.put(None)

    @property
    def over(self) -> bool:
        """Whether the thread is idle for good."""
        return self._end.done()

    async def ended(self) -> None:
        """Wait until the last call has ended, after `close`."""
        await asyncio.wrap_future(self._end)

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            future, function = call
            if not future.set_running_or_notify_cancel():
                continue
            if self._closed:
                future.set_exception(_closed_error())
                continue
            try:
                result = function()
            except BaseException as error:  # noqa: BLE001 - it is for the caller, whatever it is
                future.set_exception(error)
            else:
                future.set_result(result)
                del result  # it may be large, and the next call a long time away
            del call, future, function
        self._end.set_result(None)


def _closed_error() -> OSError:
    return OSError("The watch is being stopped; try again in a moment.")
