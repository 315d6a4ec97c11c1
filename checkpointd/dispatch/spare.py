"""A spare: a load child that has warmed up already and waits for a small checkpoint.

It is confined before it runs anything, to a scratch directory of its own. The checkpoint is copied
there, so that the sandbox needs no rule for it and nobody can change it while it is read. Each is
used once. What it finds wrong is never believed: then a new child loads the checkpoint itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from checkpointd.core.checkpoint import Checkpoint, Generation
from checkpointd.core.encode import to_json
from checkpointd.core.format_specs import Format
from checkpointd.core.request import Answer, Request
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.dispatch.early_load import NOTHING
from checkpointd.dispatch.limits import NO_LIMIT
from checkpointd.dispatch.private_copy import request_for_copy
from checkpointd.dispatch.zygote_connection import ZygoteError
from checkpointd.worker import protocol
from checkpointd.worker.protocol import COPY, LOAD, WARM_UP, Job

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from checkpointd.dispatch.child_result import ChildResult
    from checkpointd.dispatch.early_load import Exchange
    from checkpointd.dispatch.zygote import ChildProcess, Zygote
    from checkpointd.worker.protocol import ChildLimits

    Copy = Callable[[Job, int], Awaitable[ChildResult]]

MAX_BYTES = 64 << 20
"""The largest checkpoint that is copied for a spare: others take longer to read than to start."""

_WARM_UP_SECONDS = 120.0
_COPY = "copy"


@dataclass(frozen=True)
class SpareKey:
    """What a spare is for: an interpreter, and what the user's code and data may be read from."""

    python: str
    python_path: tuple[str, ...]
    read_paths: tuple[str, ...]
    data: str

    @classmethod
    def of(cls, settings: VerifySettings) -> SpareKey:
        """Return the key of these settings."""
        paths = tuple(settings.python_path), tuple(settings.read_paths)
        return cls(settings.python, *paths, settings.evaluate.data)

    def settings(self) -> VerifySettings:
        """Return settings that allow a spare to read what these do."""
        settings = VerifySettings()
        return replace(
            settings,
            python=self.python,
            python_path=self.python_path,
            read_paths=self.read_paths,
            evaluate=replace(settings.evaluate, data=self.data),
        )


class Spare:
    """One child that has warmed up; made by `start`, used by `run`, ended by `close`."""

    def __init__(
        self, key: SpareKey, zygote: Zygote, child: ChildProcess, stack: contextlib.AsyncExitStack
    ) -> None:
        self.key = key
        self.zygote = zygote
        self.path = ""
        self.found_fault = False
        self._child = child
        self._stack = stack
        self._copied: asyncio.Task[Request | None] | None = None
        self._used = False

    @classmethod
    async def start(cls, key: SpareKey, zygote: Zygote, limits: ChildLimits) -> Spare:
        """Fork a child and let it warm up.

        Args:
            key: what it is for.
            zygote: the interpreter.
            limits: those of its job replace them; until then no foreign code runs in it.

        Raises:
            ZygoteError: it could not be forked, or did not warm up.
        """
        async with contextlib.AsyncExitStack() as stack:
            wide = replace(limits, data_bytes=NO_LIMIT)
            child = await stack.enter_async_context(zygote.child(wide))
            nothing = Checkpoint(os.path.join(child.scratch, _COPY), Format.KERAS)
            request = Request(nothing, Generation(()), key.settings())
            job = Job(WARM_UP, str(child.scratch), to_json(request))
            try:
                async with asyncio.timeout(_WARM_UP_SECONDS):
                    child.writer.write(protocol.encode(job))
                    await child.reader.readline()  # the state of its sandbox
                    answer = await child.reader.readline()
            except (OSError, TimeoutError, ValueError):
                answer = b""
            if answer != protocol.WARM:
                raise ZygoteError("it did not warm up")
            return cls(key, zygote, child, stack.pop_all())
        raise AssertionError  # pragma: no cover - the block returns or raises

    async def ended(self) -> None:
        """Wait until it has ended, by itself or with its zygote."""
        with contextlib.suppress(ZygoteError):
            await self.zygote.wait_status(self._child)

    def begin_copy(self, request: Request, copy: Copy) -> None:
        """Begin to copy a checkpoint into its directory.

        Args:
            request: which generation of which checkpoint.
            copy: runs the copying job, given how many bytes it writes.
        """
        directory = os.path.join(self._child.scratch, _COPY)
        self.path = os.path.join(directory, os.path.basename(request.checkpoint.path))
        private = replace(request, copied=True)
        self._copied = asyncio.create_task(self._copy(private, directory, copy))

    async def _copy(self, request: Request, directory: str, copy: Copy) -> Request | None:
        """Return the request for the copy; None where there is none."""
        try:
            os.mkdir(directory, 0o700)
            job = Job(COPY, "", to_json(request), target=directory)
            result = await copy(job, request.generation.size_bytes)
        except (OSError, ZygoteError):
            return None
        made = request_for_copy(request, self.path, result.inspection)
        return None if isinstance(made, Answer) else made

    async def run(
        self, job: Job, limits: ChildLimits, seconds: float, exchange: Exchange = NOTHING
    ) -> ChildResult | None:
        """Load the copy.

        Args:
            job: the one for the checkpoint itself.
            limits: of the child from now on.
            seconds: wall-clock seconds after which it is killed.
            exchange: what a load that begins early needs of its scan.

        Returns:
            What it did; None where there is no copy, or it has begun to load it before.
        """
        request = await self._copied if self._copied is not None else None
        if request is None or job.stage != LOAD or self._used:
            return None
        self._used = True
        job = replace(job, request=to_json(request), limits=limits)
        self.zygote.busy += 1
        try:
            result = await self.zygote.run_in(self._child, job, limits, seconds, exchange=exchange)
        finally:
            self.zygote.busy -= 1
        return replace(result, environment=self.zygote.environment)

    async def close(self) -> None:
        """Kill it and remove its directory."""
        if self._copied is not None:
            self._copied.cancel()
            await asyncio.gather(self._copied, return_exceptions=True)
        await self._stack.aclose()
