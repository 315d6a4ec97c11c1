"""Keeps spares ready: makes one while nothing is verified, and hands it to a small checkpoint.

None is made where memory is short or every core is busy: making one takes more CPU time than it
saves, which a job that uses every core would lose. They end together with their zygote
(`idle_exit`).
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from checkpointd.dispatch import host_cores, host_memory
from checkpointd.dispatch.limits import limits_for
from checkpointd.dispatch.spare import MAX_BYTES, Spare, SpareKey
from checkpointd.dispatch.zygote_connection import ZygoteError
from checkpointd.worker.protocol import LOAD

if TYPE_CHECKING:
    from checkpointd.config import WorkerSettings
    from checkpointd.core.request import Request
    from checkpointd.core.verify_settings import VerifySettings
    from checkpointd.dispatch.spare import Copy
    from checkpointd.dispatch.zygote_pool import ZygotePool
    from checkpointd.worker.protocol import ChildLimits

_IDLE_SECONDS = 0.5
"""How long nothing was verified before a spare is made: a burst needs the CPU itself."""

_IDLE_CORES = 0.75
"""How many cores were idle meanwhile, on average; a job that uses all of them leaves less."""

_LOOK_SECONDS = 10.0
_MEMORY_TO_START = 2 << 30
_MEMORY_TO_STAY = 1 << 30
"""What the machine can spare when a spare is made, and below which it is ended."""


class SparePool:
    """The spares of this host.

    Args:
        zygotes: the interpreters that fork them; none is started for a spare.
        worker: the settings.
    """

    def __init__(self, zygotes: ZygotePool, worker: WorkerSettings) -> None:
        self._zygotes = zygotes
        self._worker = worker
        self._ready: list[Spare] = []
        self._tasks: dict[Spare, asyncio.Task[None]] = {}
        self._making: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._running = 0
        self._wanted: SpareKey | None = None
        self._unsuited: set[tuple[SpareKey, int]] = set()

    def configure(self, worker: WorkerSettings) -> None:
        """Use other settings from now on."""
        self._worker = worker

    def ready(self, pid: int) -> int:
        """Return how many spares of the zygote with this pid wait for a checkpoint."""
        return sum(spare.zygote.pid == pid for spare in self._ready)

    def prepare(self, settings: VerifySettings) -> None:
        """Make a spare for these settings as soon as nothing is verified."""
        self._wanted = SpareKey.of(settings)
        self._make_later()

    def take(self, request: Request, copy: Copy) -> Spare | None:
        """Return a spare for a checkpoint, which is being copied into it; None if there is none.

        The user's checks get a process in which nothing has run, and a path that is the
        checkpoint's.

        Args:
            request: what is verified.
            copy: copies a checkpoint; see `Spare.begin_copy`.
        """
        self._running += 1
        self._stop_making()
        settings = request.settings
        small = 0 < request.generation.size_bytes <= MAX_BYTES
        if not small or request.copied or settings.checks or not self._worker.spares:
            return None
        key = self._wanted = SpareKey.of(settings)
        fit = (s for s in self._ready if s.key == key and self._zygotes.is_current(s.zygote))
        spare = next(fit, None)
        if spare is not None:
            self._ready.remove(spare)
            self._tasks.pop(spare).cancel()
            spare.begin_copy(request, copy)
        return spare

    def done(self, spare: Spare | None) -> None:
        """Take note that a verification has ended, which had this spare; end the spare."""
        self._running -= 1
        if spare is not None:
            task = asyncio.create_task(spare.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        self._make_later()

    def does_not_suit(self, spare: Spare) -> None:
        """Make no more spares like this one: what it loaded loads in a new process only."""
        self._unsuited.add((spare.key, spare.zygote.pid))

    def _make_later(self) -> None:
        if self._making is None and not self._running and self._worker.spares:
            self._making = asyncio.create_task(self._make())
            self._making.add_done_callback(self._made)

    def _made(self, task: asyncio.Task[None]) -> None:
        if self._making is task:
            self._making = None
        if not task.cancelled():
            task.exception()  # retrieved: what prevents a spare costs time alone

    def _stop_making(self) -> None:
        if self._making is not None:
            self._making.cancel()
            self._making = None

    async def _make(self) -> None:
        await _until_idle()
        key = self._wanted
        if key is None:
            return
        for other in [spare for spare in self._ready if spare.key != key]:
            await self._end(other)
        while len(self._ready) < self._worker.spares:
            zygote = self._zygotes.current(LOAD, key.python)
            if zygote is None or not zygote.can_fork or _memory() < _MEMORY_TO_START:
                return
            if (key, zygote.pid) in self._unsuited:
                return
            try:
                spare = await Spare.start(key, zygote, self._limits())
            except ZygoteError:
                self._unsuited.add((key, zygote.pid))
                return
            self._ready.append(spare)
            self._tasks[spare] = asyncio.create_task(self._keep(spare))

    def _limits(self) -> ChildLimits:
        worker = self._worker
        return limits_for(LOAD, MAX_BYTES, worker.memory, worker.timeout, spare=_memory())

    async def _keep(self, spare: Spare) -> None:
        """Keep a spare until it ends, or memory is short; then forget it."""
        ended = asyncio.ensure_future(spare.ended())
        try:
            while not ended.done() and _memory() >= _MEMORY_TO_STAY:
                await asyncio.wait((ended,), timeout=_LOOK_SECONDS)
        finally:
            ended.cancel()
            await asyncio.gather(ended, return_exceptions=True)
        await self._end(spare)

    async def _end(self, spare: Spare) -> None:
        self._ready.remove(spare)
        task = self._tasks.pop(spare)
        if task is not asyncio.current_task():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await spare.close()

    async def close(self) -> None:
        """End every spare."""
        making, self._making = self._making, None
        if making is not None:
            making.cancel()
            await asyncio.gather(making, return_exceptions=True)
        for spare in list(self._ready):
            with contextlib.suppress(ZygoteError, OSError):
                await self._end(spare)
        await asyncio.gather(*self._closing, return_exceptions=True)


async def _until_idle() -> None:
    """Wait until a core has been idle; not at all where the kernel does not show that."""
    loop, seconds = asyncio.get_running_loop(), _IDLE_SECONDS
    while True:
        (_, before), began = host_cores.busy_seconds(), loop.time()
        await asyncio.sleep(seconds)
        (cores, busy), elapsed = host_cores.busy_seconds(), loop.time() - began
        if not cores or cores * elapsed - (busy - before) >= _IDLE_CORES * elapsed:
            return
        seconds = _LOOK_SECONDS


def _memory() -> int:
    return host_memory.available_bytes()
