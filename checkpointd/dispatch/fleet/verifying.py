"""What a worker of the fleet does with a task: verifies the checkpoint as this host sees it."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.core.checkpoint import Generation, Member
from checkpointd.dispatch.fleet.messages import (
    ELSEWHERE,
    RETURNED,
    decode_task,
    encode_answer,
    encode_end,
)

if TYPE_CHECKING:
    from checkpointd.core.request import Answer, Request
    from checkpointd.dispatch import Dispatcher

_STAT_SECONDS = 60.0


class TaskHandler:
    """Answers tasks with a dispatcher of this host; must be used from one event loop.

    Args:
        dispatcher: verifies.
        host: the name of this host.
    """

    def __init__(self, dispatcher: Dispatcher, host: str) -> None:
        self._dispatcher = dispatcher
        self._host = host
        self._running: set[asyncio.Task[Answer]] = set()
        self._is_stopping = False

    async def __call__(self, task: bytes) -> bytes:
        """Answer a task.

        Raises:
            DecodeError: it is none.
        """
        request = decode_task(task)
        if self._is_stopping:
            return self._returned()
        try:
            async with asyncio.timeout(_STAT_SECONDS):
                here = await asyncio.to_thread(generation_here, request)
        except TimeoutError:
            here = "Its file system does not answer"
        if isinstance(here, str):
            message = f"{here} on {self._host}: {request.checkpoint.path}"
            return encode_end(self._host, ELSEWHERE, message)
        work = asyncio.ensure_future(self._dispatcher.verify(replace(request, generation=here)))
        self._running.add(work)
        try:
            return encode_answer(self._host, await work)
        except asyncio.CancelledError:
            if not self._stopped():  # the task was cancelled, or the connection is lost
                work.cancel()
                raise
            return self._returned()
        finally:
            self._running.discard(work)

    def _stopped(self) -> bool:
        return self._is_stopping

    def _returned(self) -> bytes:
        return encode_end(self._host, RETURNED, "The worker was stopped.")

    async def stop(self) -> None:
        """Give back what is being verified, and take no more."""
        self._is_stopping = True
        for work in self._running:
            work.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


def generation_here(request: Request) -> Generation | str:
    """Return a generation with the identities that its members have on this host.

    Device, inode and ctime of a file differ between hosts; its name, size and mtime do not. The
    children compare with the result, before and after they read.

    Returns:
        The generation; a clause, where a member is not there or is another file.
    """
    members = []
    for member in request.generation.members:
        path = request.checkpoint.path + member.name
        try:
            status = os.stat(path)
        except OSError as error:
            return f"{member.name or 'It'} cannot be found ({error.strerror})"
        if (status.st_size, status.st_mtime_ns) != (member.size, member.mtime_ns):
            return f"{member.name or 'It'} has another size or time"
        ids = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
        members.append(Member(member.name, *ids))
    return Generation(tuple(members))
