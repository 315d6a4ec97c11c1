"""Verdict files and `latest-valid` links in the running daemon: a task and a thread for each watch.

Level-triggered: whatever happened, files and links are made to say what the ledger says now.
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

_CALM_SECONDS = 0.2
_ROUND_SECONDS = 60.0
_AGAIN_SECONDS = 5.0
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


class _Desk:
    """What one watch has of its own."""

    def __init__(self, settings: WatchSettings, roots: Iterable[Path]) -> None:
        self.settings = settings
        self.publisher = Publisher(settings, roots)
        self.wanted = asyncio.Event()
        self.disk = DiskThread(f"publish-{settings.name}")
        self.task: asyncio.Task[None] | None = None


class Publishing:
    """Publishes for every watch that wants it; `troubles` says what could not be written."""

    def __init__(self, ledger: LedgerThread) -> None:
        self._ledger = ledger
        self._desks: dict[str, _Desk] = {}
        self.troubles: dict[str, str] = {}

    def begin(self, settings: WatchSettings, roots: Iterable[Path]) -> None:
        """Publish for a watch, if it wants it.

        Args:
            settings: of the watch.
            roots: all watched directories.
        """
        if settings.verdict_directory is None and settings.link_directory is None:
            return
        desk = self._desks[settings.name] = _Desk(settings, roots)
        desk.task = asyncio.create_task(self._keep(desk))

    def wanted(self, watch: str) -> None:
        """Look at a watch again soon: something about it has changed."""
        if watch in self._desks:
            self._desks[watch].wanted.set()

    async def forget(self, watch: str, keep: Collection[Path]) -> None:
        """Publish for a watch no longer, and remove what was published.

        Args:
            watch: its name.
            keep: directories in which it stays.
        """
        desk = self._desks.pop(watch, None)
        self.troubles.pop(watch, None)
        if desk is None or desk.task is None:
            return
        desk.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await desk.task
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await desk.disk(desk.publisher.withdraw, keep)
        except (OSError, TimeoutError) as error:
            log.warning("what was published cannot be withdrawn", watch=watch, error=str(error))
        finally:
            desk.disk.close()

    async def close(self) -> None:
        """Publish no more; what was published stays, each verdict with the content it is for."""
        await asyncio.gather(
            *(
                self.forget(watch, directories([desk.settings]))
                for watch, desk in list(self._desks.items())
            )
        )

    async def _keep(self, desk: _Desk) -> None:
        name = desk.settings.name
        while True:
            desk.wanted.clear()
            seconds = _ROUND_SECONDS
            try:
                entries = await self._ledger(Ledger.entries, name)
                await desk.disk(desk.publisher.publish, entries)
                self.troubles.pop(name, None)
            except (OSError, LedgerError) as error:
                seconds = _AGAIN_SECONDS
                self._tell(name, error)
            except Exception:
                seconds = _AGAIN_SECONDS
                log.exception("publishing failed, this is our own fault", watch=name)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(desk.wanted.wait(), seconds)
            await asyncio.sleep(_CALM_SECONDS)

    def _tell(self, watch: str, error: OSError | LedgerError) -> None:
        """Say what could not be written, in the log once each time it changes."""
        if isinstance(error, OSError):
            said = f"{error.filename} cannot be written: {error.strerror}"
        else:
            said = f"nothing can be published: {error}"
        told = f"Watch {watch}: {said.rstrip('.')}; it is tried again."
        if self.troubles.get(watch) != told:
            log.error("cannot be published", watch=watch, error=told)
        self.troubles[watch] = told
