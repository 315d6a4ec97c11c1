"""The zygotes of this host: started when they are needed, one for each stage and Python.

One that hangs or fails delays only the checkpoints that need it: each is started in its own task,
and a verification waits only so long for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from checkpointd.core.encode import to_json
from checkpointd.dispatch.cpu_wait import waited_for_cpu
from checkpointd.dispatch.zygote import Zygote, ZygoteStartError
from checkpointd.dispatch.zygote_connection import ZygoteError
from checkpointd.worker.protocol import LOAD, SCAN

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from checkpointd.dispatch.zygote_start import Launched

Key = tuple[str, str]
"""A stage, and the interpreter as settings name it."""

_RETRY_SECONDS = 60.0
_START_WAIT_SECONDS = 60.0
"""How long a verification waits for an interpreter to start before it gives up its slot.

Not counted is how long the interpreter waits for a core: others would wait for it as well.
"""


@dataclass(frozen=True)
class _Start:
    """An interpreter that is being started."""

    zygote: Zygote
    task: asyncio.Task[Zygote]
    began: float = field(default_factory=time.monotonic)

    def seconds(self) -> float:
        """Return for how long it has been able to run."""
        return time.monotonic() - self.began - waited_for_cpu(self.zygote.pid)


@dataclass(frozen=True)
class _Failure:
    """An interpreter that could not be started."""

    error: ZygoteStartError
    at: float = field(default_factory=time.monotonic)


class ZygotePool:
    """Zygotes by what they are for.

    Args:
        scratch: the dispatcher's directory.
        idle_exit: seconds after which an unused load zygote is ended.
        threads: how many TensorFlow uses in each child.
        scan: an interpreter that was started for the scan already.
    """

    def __init__(
        self, scratch: Path, idle_exit: float, threads: int = 1, scan: Launched | None = None
    ) -> None:
        self._scratch = scratch
        self._threads = threads
        self._launched = {} if scan is None else {(SCAN, ""): scan}
        self._idle_exit = idle_exit
        self._zygotes: dict[Key, Zygote] = {}
        self._starts: dict[Key, _Start] = {}
        self._failures: dict[Key, _Failure] = {}
        self._retired: set[Zygote] = set()
        self._last_load = time.monotonic()
        self._idler: asyncio.Task[None] | None = None

    def __iter__(self) -> Iterator[Zygote]:
        """Iterate over those in use and those that end when their work is done."""
        return iter((*self._zygotes.values(), *self._retired))

    async def get(self, kind: str, python: str) -> Zygote:
        """Return the zygote for a stage; start it if necessary.

        Raises:
            ZygoteStartError: it cannot be started, or takes so long that the caller should give up
                its slot.
            ZygoteError: its start was cancelled.
        """
        key = (kind, python)
        if kind == LOAD:
            self.mark_used()
        zygote = self._zygotes.get(key)
        while zygote is None or not zygote.up:
            zygote = await self._started(key)
            if not zygote.spent:
                break
        return zygote

    async def _started(self, key: Key) -> Zygote:
        start = self._start(key)
        while not start.task.done() and (left := self._start_timeout(key, start)):
            await asyncio.wait({start.task}, timeout=left)
        if start.task.cancelled():
            raise ZygoteError("its start was cancelled")
        if start.task.done():
            return start.task.result()
        if (failure := self._failures.get(key)) is not None:
            raise failure.error
        raise ZygoteStartError(
            f"{key[1] or sys.executable} did not finish its imports within "
            f"{_START_WAIT_SECONDS:g} s; it goes on starting, and this is tried again."
        )

    async def warm(self, kind: str, python: str) -> None:
        """Start an interpreter, unless that has just failed; `get` reports a failure."""
        key = (kind, python)
        failure = self._failures.get(key)
        may_retry = failure is None or time.monotonic() - failure.at >= _RETRY_SECONDS
        if key not in self._starts and may_retry:
            with contextlib.suppress(ZygoteError):
                await self.get(kind, python)

    def current(self, kind: str, python: str) -> Zygote | None:
        """Return the zygote that runs for a stage; None if there is none, and none is started."""
        zygote = self._zygotes.get((kind, python))
        return zygote if zygote is not None and zygote.up else None

    def is_current(self, zygote: Zygote) -> bool:
        """Whether a zygote runs and is not discarded."""
        return zygote.up and zygote in self._zygotes.values()

    def mark_used(self) -> None:
        """Restart the clock of `idle_exit`: there is something to load."""
        self._last_load = time.monotonic()

    def _start(self, key: Key) -> _Start:
        """Return the start that is under way; begin one if there is none."""
        start = self._starts.get(key)
        if start is None:
            zygote = Zygote(*key, self._scratch, self._threads, self._launched.pop(key, None))
            task = asyncio.create_task(self._bring_up(key, zygote))
            start = self._starts[key] = _Start(zygote, task)
            start.task.add_done_callback(lambda task: self._forget_start(key, task))
        return start

    def _forget_start(self, key: Key, task: asyncio.Task[Zygote]) -> None:
        start = self._starts.get(key)
        if start is not None and start.task is task:
            del self._starts[key]
        if not task.cancelled():
            task.exception()  # retrieved, so that asyncio does not warn if nobody waits for it

    def _start_timeout(self, key: Key, start: _Start) -> float:
        """Return for how many seconds to wait for a start; 0 for one that hung before."""
        failure = self._failures.get(key)
        if failure is not None and failure.error.hung:
            return 0.0
        return max(0.0, _START_WAIT_SECONDS - start.seconds())

    async def _bring_up(self, key: Key, zygote: Zygote) -> Zygote:
        if key in self._zygotes:
            self.discard(*key)
        try:
            await zygote.start()
        except asyncio.CancelledError:
            await zygote.wait_closed()  # it is killed; nothing may outlive `close`
            raise
        except ZygoteStartError as error:
            self._failures[key] = _Failure(error)
            raise
        self._failures.pop(key, None)
        self._zygotes[key] = zygote
        if key[0] == LOAD and self._idler is None:
            self._idler = asyncio.create_task(self._end_idle())
        return zygote

    def discard(self, kind: str, python: str) -> None:
        """Send no more jobs to a zygote; end it when its current jobs are done."""
        zygote = self._zygotes.pop((kind, python), None)
        if zygote is not None:
            self._retired.add(zygote)
            self.release(zygote)

    def release(self, zygote: Zygote) -> None:
        """End a discarded zygote if its jobs are done."""
        if zygote in self._retired and not zygote.busy:
            zygote.close()
            self._retired.discard(zygote)

    async def _end_idle(self) -> None:
        """End load zygotes that were not used for `idle_exit`."""
        while True:
            idle = time.monotonic() - self._last_load
            await asyncio.sleep(max(0.05, self._idle_exit - idle))
            if time.monotonic() - self._last_load < self._idle_exit:
                continue
            for key, zygote in list(self._zygotes.items()):
                if key[0] == LOAD and not zygote.busy:
                    self.discard(*key)

    def forget(self, used: Collection[str]) -> None:
        """Forget the interpreters that no settings name any more.

        Args:
            used: the interpreters that are still needed, as settings name them.
        """
        known = {*self._failures, *self._starts, *self._zygotes}
        for python in {key[1] for key in known if key[0] == LOAD} - set(used):
            self.renew(python)

    def renew(self, python: str) -> None:
        """Load with a fresh interpreter from now on: its installed packages have changed.

        Args:
            python: as settings name it.
        """
        key = (LOAD, python)
        self._failures.pop(key, None)
        if (start := self._starts.pop(key, None)) is not None:
            start.task.cancel()
        self.discard(*key)

    async def close(self) -> None:
        """End every zygote, and with them their children."""
        tasks: list[asyncio.Task[Any]] = [start.task for start in self._starts.values()]
        tasks += [self._idler] if self._idler is not None else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        zygotes = list(self)
        for zygote in zygotes:
            zygote.close()
        await asyncio.gather(*(zygote.wait_closed() for zygote in zygotes))
        self._zygotes.clear()
        self._retired.clear()

    def status(self) -> list[dict[str, Any]]:
        """Return what runs, and what could not be started; see `Dispatcher.status`."""
        rows = [
            {
                "kind": kind,
                "python": zygote.python,
                "up": zygote.up,
                "pid": zygote.pid,
                "busy": zygote.busy,
                "forks": zygote.can_fork,
                "environment": dict(zygote.environment),
                "sandbox": None if zygote.sandbox is None else to_json(zygote.sandbox),
                "message": "",
            }
            for (kind, _), zygote in self._zygotes.items()
        ]
        down = {"up": False, "pid": 0, "busy": 0}
        return rows + [
            {"kind": kind, "python": python, **down, "message": str(failure.error)}
            for (kind, python), failure in self._failures.items()
        ]
