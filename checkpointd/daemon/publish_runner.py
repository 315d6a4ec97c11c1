"""Verdict files and `latest-valid` links in the running daemon: a task and a thread for each watch.

Whatever has changed, all files and links of a watch are compared with the ledger as it is now.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import structlog

from checkpointd.daemon.publisher import Publisher
from checkpointd.daemon.threads import DiskThread
from checkpointd.ledger import Ledger, LedgerError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from checkpointd.config import WatchSettings
    from checkpointd.daemon.threads import LedgerThread
    from checkpointd.ledger import Change

_PAUSE_SECONDS = 0.2
_ROUND_SECONDS = 60.0
_RETRY_SECONDS = 5.0
_STOP_SECONDS = 5.0

log = structlog.get_logger()


def directories(watches: Iterable[WatchSettings]) -> frozenset[Path]:
    """All directories that watches publish to."""
    return frozenset(
        directory
        for watch in watches
        for directory in (watch.verdict_directory, watch.link_directory)
        if directory is not None
    )


class _WatchPublisher:
    """The publisher of one watch, its disk thread and its task."""

    def __init__(
        self, settings: WatchSettings, roots: Iterable[Path], ledger: LedgerThread
    ) -> None:
        self.settings = settings
        self.publisher = Publisher(
            settings, roots, lambda entry: ledger.wait(Ledger.report_of, entry)
        )
        self.requested = asyncio.Event()
        self.disk = DiskThread(f"publish-{settings.name}")
        self.task: asyncio.Task[None] | None = None


class PublishRunner:
    """Publishes for every watch that is configured to; `problems` are what could not be written.

    Args:
        ledger: holds what is published.
    """

    def __init__(self, ledger: LedgerThread) -> None:
        self._ledger = ledger
        self._running: dict[str, _WatchPublisher] = {}
        self.problems: dict[str, str] = {}

    def begin(self, settings: WatchSettings, roots: Iterable[Path]) -> None:
        """Publish for a watch, if it is configured to.

        Args:
            settings: of the watch.
            roots: all watched directories.
        """
        if settings.verdict_directory is None and settings.link_directory is None:
            return
        watch = self._running[settings.name] = _WatchPublisher(settings, roots, self._ledger)
        watch.task = asyncio.create_task(self._run(watch))

    def on_change(self, change: Change) -> None:
        """Compare the watch of a change with the ledger soon."""
        if change.watch in self._running:
            self._running[change.watch].requested.set()

    async def forget(self, name: str, keep: Collection[Path]) -> None:
        """Publish for a watch no longer, and remove what was published.

        Args:
            name: of the watch.
            keep: directories in which it stays.
        """
        watch = self._running.pop(name, None)
        self.problems.pop(name, None)
        if watch is None or watch.task is None:
            return
        watch.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watch.task
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await watch.disk(watch.publisher.withdraw, keep)
        except (OSError, TimeoutError) as error:
            log.warning("what was published cannot be withdrawn", watch=name, error=str(error))
        finally:
            watch.disk.close()

    async def close(self) -> None:
        """Stop publishing; published files stay, each verdict with the content that it is about."""
        await asyncio.gather(
            *(
                self.forget(name, directories([watch.settings]))
                for name, watch in list(self._running.items())
            )
        )

    async def _run(self, watch: _WatchPublisher) -> None:
        name = watch.settings.name
        while True:
            watch.requested.clear()
            seconds = _ROUND_SECONDS
            try:
                entries = await self._ledger(Ledger.entries, name)
                await watch.disk(watch.publisher.publish, entries)
                self.problems.pop(name, None)
            except (OSError, LedgerError) as error:
                seconds = _RETRY_SECONDS
                self._note_problem(name, error)
            except Exception:
                seconds = _RETRY_SECONDS
                log.exception("publishing failed because of a bug in checkpointd", watch=name)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await watch.requested.wait()
            await asyncio.sleep(_PAUSE_SECONDS)

    def _note_problem(self, name: str, error: OSError | LedgerError) -> None:
        """Keep the error among the problems, and log it once each time it changes."""
        if isinstance(error, OSError):
            why = f"{error.filename} cannot be written: {error.strerror}"
        else:
            why = f"nothing can be published: {error}"
        problem = f"Watch {name}: {why.rstrip('.')}; it is tried again."
        if self.problems.get(name) != problem:
            log.error("cannot be published", watch=name, error=problem)
        self.problems[name] = problem
