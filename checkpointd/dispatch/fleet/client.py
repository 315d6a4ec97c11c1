"""`python -m checkpointd.dispatch.fleet.client`: the daemon's process that talks to the cluster.

Reads lines of JSON from its input: first the settings, then `submit` and `cancel`. Writes lines of
JSON: `members` (what the workers announce, every second), `down` (the scheduler does not answer),
`answer`, `failed` and `returned` (somebody else cancelled it). It decides nothing. It ends when its
input is closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import sys
import uuid
from typing import TYPE_CHECKING, Any

from distributed import KilledWorker
from distributed.client import FutureCancelledError

from checkpointd.dispatch.fleet import task
from checkpointd.dispatch.fleet.cluster import SchedulerError, configure, connect, why
from checkpointd.dispatch.fleet.messages import ANNOUNCED, MEMORY, turn

if TYPE_CHECKING:
    from collections.abc import Mapping

    from distributed import Client, Future

_POLL_SECONDS = 1.0
_ANSWER_SECONDS = 10.0
_CANCELLED_SECONDS = 15.0
_RETRY_SECONDS = 2.0
_MAX_LINE = 96 * 1024 * 1024
_MAX_ERROR = 500


class Session:
    """One connection to the scheduler, until it is lost."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._futures: dict[int, Future[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.is_open = True

    def take(self, message: Mapping[str, Any]) -> None:
        """Do what a line asks for."""
        if "submit" in message:
            self._submit(message)
        elif "cancel" in message and (future := self._futures.pop(message["cancel"], None)):
            self._run(_cancelled(future))

    def _submit(self, message: Mapping[str, Any]) -> None:
        number, member, memory = message["submit"], message["member"], message["memory"]
        future = self._futures[number] = self._client.submit(
            task.verify,
            message["task"].encode(),
            key=f"checkpointd-{uuid.uuid4().hex}",
            resources={turn(member): 1, MEMORY: memory},
            pure=False,
        )
        self._run(self._answer(number, future))

    async def _answer(self, number: int, future: Future[bytes]) -> None:
        """Send what becomes of a task; nothing if we cancelled it, or the connection was lost."""
        try:
            result = await future
            line = {"answer": number, "payload": bytes(result).decode()}
        except (asyncio.CancelledError, FutureCancelledError):
            await asyncio.sleep(_CANCELLED_SECONDS)  # the loss of the connection is reported first
            line = {"returned": number}
        except Exception as error:  # noqa: BLE001 - whatever a worker raises
            message = " ".join(str(error).split())[:_MAX_ERROR]
            killed = isinstance(error, KilledWorker)
            line = {"failed": number, "message": message, "killed": killed}
        if self.is_open and self._futures.pop(number, None) is not None:
            emit(line)

    def _run(self, work: Any) -> None:
        started = asyncio.ensure_future(work)
        self._tasks.add(started)
        started.add_done_callback(self._tasks.discard)

    async def poll(self) -> None:
        """Send who is there, until the scheduler does not answer.

        Raises:
            OSError: it does not, or not in time.
        """
        while True:
            async with asyncio.timeout(_ANSWER_SECONDS):
                identity = await self._client.scheduler.identity(n_workers=-1)
            rows = [
                {"announced": row[ANNOUNCED], "seen": row.get("last_seen")}
                for row in identity["workers"].values()
                if ANNOUNCED in row and row.get("status") in ("running", "paused")
            ]
            emit({"members": rows})
            await asyncio.sleep(_POLL_SECONDS)

    async def close(self) -> None:
        """Forget every task."""
        self.is_open = False
        self._futures.clear()
        for one in self._tasks:
            one.cancel()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(_ANSWER_SECONDS):
                await self._client.close(timeout=1)


async def _cancelled(future: Future[bytes]) -> None:
    with contextlib.suppress(Exception):
        await future.cancel()


def emit(message: Mapping[str, Any]) -> None:
    """Write a line."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


async def main() -> None:
    """Serve until the input is closed."""
    reader = asyncio.StreamReader(limit=_MAX_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    settings = json.loads(await reader.readline())
    sessions: list[Session] = []
    talking = asyncio.create_task(_talk(settings, sessions))
    reading = asyncio.create_task(_read(reader, sessions))
    await asyncio.wait((talking, reading), return_when=asyncio.FIRST_COMPLETED)
    for one in (talking, reading):
        one.cancel()
    results = await asyncio.gather(talking, reading, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


async def _read(reader: asyncio.StreamReader, sessions: list[Session]) -> None:
    while line := await reader.readline():
        for session in sessions:  # none while the scheduler is down: the daemon knows
            session.take(json.loads(line))


async def _talk(settings: Mapping[str, Any], sessions: list[Session]) -> None:
    while True:
        try:
            client = await connect(settings)
        except SchedulerError as error:
            emit({"down": str(error)})
            await asyncio.sleep(_RETRY_SECONDS)
            continue
        session = Session(client)
        sessions.append(session)
        try:
            await session.poll()
        except (OSError, TimeoutError, RuntimeError, ValueError) as error:
            emit({"down": f"{settings['scheduler']} does not answer any more: {why(error)}."})
        finally:
            sessions.clear()
            await session.close()


if __name__ == "__main__":
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    configure()
    asyncio.run(main())
