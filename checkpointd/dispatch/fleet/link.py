"""The daemon's end of the process that talks to the cluster: starts it, again if it ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NOT_INSTALLED = "Dask is not installed: `pip install 'checkpointd[dask]'` where checkpointd is."

_MAX_LINE = 96 * 1024 * 1024
_FIRST_DELAY_SECONDS = 1.0
_MAX_DELAY_SECONDS = 30.0
_STOP_SECONDS = 3.0
_MODULE = "checkpointd.dispatch.fleet.client"

log = structlog.get_logger()


class Link:
    """One helper process at a time; must be used from one event loop.

    Args:
        settings: its first line: where the scheduler is, and the files for TLS.
        on_message: called with each message.
        on_end: called with a sentence whenever the process has ended.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        on_message: Callable[[dict[str, Any]], None],
        on_end: Callable[[str], None],
    ) -> None:
        self._settings = settings
        self._on_message = on_message
        self._on_end = on_end
        self._process: asyncio.subprocess.Process | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The process; 0 if there is none."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Begin; again does nothing."""
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message; it is lost if there is no process, whose end is reported."""
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(json.dumps(message).encode() + b"\n")

    async def close(self) -> None:
        """End the process."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        delay = _FIRST_DELAY_SECONDS
        while True:
            try:
                why = "The process that talks to the scheduler has ended; it is started again."
                if find_spec("distributed") is None:
                    why = NOT_INSTALLED
                elif await self._serve():
                    delay = _FIRST_DELAY_SECONDS
            except OSError as error:
                why = f"The process that talks to the scheduler cannot start: {error.strerror}."
            self._on_end(why)
            await asyncio.sleep(delay)
            delay = min(2 * delay, _MAX_DELAY_SECONDS)

    async def _serve(self) -> bool:
        """Run the process until it ends; return whether it has sent anything."""
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", _MODULE),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_MAX_LINE,
            env={**os.environ, "PYTHONPATH": _import_path()},
        )
        has_sent = False
        try:
            self.send(self._settings)
            while line := await _line(process.stdout):
                has_sent = True
                self._on_message(json.loads(line))
        except ValueError as error:
            log.error("the process that talks to the scheduler sent no JSON", error=str(error))
        finally:
            self._process = None
            await _end(process)
        return has_sent


async def _line(reader: asyncio.StreamReader | None) -> bytes:
    line = await reader.readline() if reader is not None else b""
    return line if line.endswith(b"\n") else b""


async def _end(process: asyncio.subprocess.Process) -> None:
    """End a process: it exits when its input is closed; what does not is killed."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except (TimeoutError, asyncio.CancelledError) as error:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()
        if isinstance(error, asyncio.CancelledError):
            raise


def _import_path() -> str:
    """Where the process imports from: -P keeps the current directory out."""
    import checkpointd

    root = os.path.dirname(os.path.dirname(os.path.abspath(checkpointd.__file__)))
    given = [os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(":") if path]
    return ":".join(dict.fromkeys([root, *given]))
