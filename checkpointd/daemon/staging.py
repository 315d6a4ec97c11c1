"""Verifies what is in a bucket: each generation is copied to the local disk, verified, removed.

Everything else goes to the dispatcher that it stands before. The copies that exist at a time share
a budget; what does not fit waits for the others.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from checkpointd.buckets import BucketStorage, ObjectChangedError, stage
from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.remove_tree import remove_tree
from checkpointd.core.request import Answer, End, Request
from checkpointd.core.text import size as size_text
from checkpointd.core.urls import is_url
from checkpointd.core.verdict import Verdict
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.daemon.threads import DiskThread
from checkpointd.dispatch.private_copy import answer_for_original
from checkpointd.formats import generation_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Collection
    from pathlib import Path

    from checkpointd.config import WorkerSettings
    from checkpointd.core.check_result import CheckResult
    from checkpointd.core.format_specs import Format
    from checkpointd.dispatch import Dispatcher


class StagingError(Exception):
    """A checkpoint could not be copied from its bucket; the sentence says why and what to do."""


class StagingDispatcher:
    """A `Dispatcher` that takes URLs as well as paths.

    `problems` are the sentences about what cannot be copied now, by URL. `on_valid_copy` is called
    with the request for what was found valid, and with that for its copy, which is still there.

    Args:
        dispatcher: verifies what is on the local disk.
        directory: for the copies alone; made when it is needed, the caller removes it.
        budget: the most bytes that all copies may take; `auto`: half of what is free.
    """

    def __init__(self, dispatcher: Dispatcher, directory: Path, budget: int | str) -> None:
        self.problems: dict[str, str] = {}
        self.on_valid_copy: Callable[[Request, Request], Awaitable[None]] | None = None
        self._dispatcher = dispatcher
        self._directory = directory
        self._budget = budget
        self._used = 0
        self._freed = asyncio.Condition()

    async def verify(
        self, request: Request, on_check: Callable[[CheckResult], None] | None = None
    ) -> Answer:
        """Verify one generation; see `Dispatcher`.

        Raises:
            StagingError: it cannot be copied from its bucket.
        """
        if not is_url(request.checkpoint.path):
            return await self._dispatcher.verify(request, on_check)
        try:
            async with self.copied(request) as copy:
                answer = await self._dispatcher.verify(copy, on_check)
                report = answer.report
                if report is not None and report.verdict is Verdict.VALID and self.on_valid_copy:
                    await self.on_valid_copy(request, copy)
                return answer_for_original(answer, request, copy.checkpoint.path)
        except ObjectChangedError as error:
            return Answer(End.SUPERSEDED, f"{error.strerror}.")

    async def inspect(self, path: str, fmt: Format) -> dict[str, Any]:
        """Describe what a checkpoint holds; see `Dispatcher`."""
        if not is_url(path):
            return await self._dispatcher.inspect(path, fmt)
        try:
            generation = await asyncio.to_thread(
                lambda: generation_of(path, fmt, BucketStorage(path))
            )
            request = Request(Checkpoint(path, fmt), generation, VerifySettings())
            async with self.copied(request) as copy:
                return {**await self._dispatcher.inspect(copy.checkpoint.path, fmt), "path": path}
        except (OSError, StagingError) as error:
            return {"error": str(getattr(error, "strerror", None) or error)}

    @contextlib.asynccontextmanager
    async def copied(self, request: Request) -> AsyncIterator[Request]:
        """Copy the generation of a request from its bucket, as long as it is used.

        Yields:
            The same request for the copy.

        Raises:
            ObjectChangedError: it is not the one in the bucket any more.
            StagingError: it cannot be copied.
        """
        checkpoint, generation = request.checkpoint, request.generation
        url, size = checkpoint.path, generation.size_bytes
        stopped = threading.Event()
        async with self._reserved(url, size):
            directory = ""
            disk = DiskThread(f"stage-{os.path.basename(url)}")
            try:
                try:
                    directory = await disk(self._make_directory)
                    client = await disk(lambda: BucketStorage(url).client)
                    path, copied_generation = await disk(
                        stage, client, checkpoint, generation, directory, stopped.is_set
                    )
                except ObjectChangedError:
                    self.problems.pop(url, None)
                    raise
                except OSError as error:
                    raise self._failed(url, f"{error.strerror or error}") from None
                self.problems.pop(url, None)
                copy = replace(checkpoint, path=path)
                yield replace(request, checkpoint=copy, generation=copied_generation, copied=False)
            finally:
                stopped.set()
                disk.close()
                if directory:
                    await asyncio.shield(asyncio.to_thread(_remove, directory))

    def _make_directory(self) -> str:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return tempfile.mkdtemp(dir=self._directory)

    @contextlib.asynccontextmanager
    async def _reserved(self, url: str, size: int) -> AsyncIterator[None]:
        """Hold a part of the budget.

        Raises:
            StagingError: it does not fit, even alone.
        """
        async with self._freed:
            while not self._fits(url, size):
                await self._freed.wait()
            self._used += size
        try:
            yield
        finally:
            self._used -= size
            async with self._freed:
                self._freed.notify_all()

    def _fits(self, url: str, size: int) -> bool:
        budget = self._budget if isinstance(self._budget, int) else self._half_of_free()
        if size > budget and not self._used:
            raise self._failed(
                url,
                f"it has {size_text(size)}, and copies may take {size_text(budget)} in "
                f"{self._directory}: set `staging_bytes` in `[daemon]`, or free space there",
            )
        return self._used + size <= budget

    def _half_of_free(self) -> int:
        try:
            free = os.statvfs(self._directory.parent)
        except OSError:
            return 0
        return (free.f_bavail * free.f_frsize + self._used) // 2

    def _failed(self, url: str, why: str) -> StagingError:
        message = f"{url!r} cannot be copied from its bucket: {why}."
        self.problems[url] = message
        return StagingError(message)

    def remove_all(self) -> None:
        """Remove what is left of copies; while none is made."""
        _remove(str(self._directory))

    async def warm(self, settings: VerifySettings) -> None:
        """Start the interpreters of these settings; see `Dispatcher`."""
        await self._dispatcher.warm(settings)

    def renew(self, python: str) -> None:
        """Load with a fresh interpreter from now on; see `Dispatcher`."""
        self._dispatcher.renew(python)

    async def close(self) -> None:
        """End every process that was started."""
        await self._dispatcher.close()

    def forget(self, used: Collection[str]) -> None:
        """Forget the interpreters that no settings name any more; see `Dispatcher`."""
        self._dispatcher.forget(used)

    def configure(self, worker: WorkerSettings) -> None:
        """Use other settings from now on; see `Dispatcher`."""
        self._dispatcher.configure(worker)

    @property
    def capacity(self) -> int:
        """How many verifications can run now; see `Dispatcher`."""
        return self._dispatcher.capacity

    def engine(self) -> dict[str, Any]:
        """Return what is known of the engine; see `Dispatcher`."""
        return self._dispatcher.engine()

    def status(self) -> list[dict[str, Any]]:
        """Return the processes behind it; see `Dispatcher`."""
        return self._dispatcher.status()


def _remove(directory: str) -> None:
    with contextlib.suppress(OSError):
        remove_tree(directory)
