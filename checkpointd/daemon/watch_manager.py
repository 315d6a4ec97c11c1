"""Starts and stops watches, and with each its retention and what it publishes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from checkpointd.daemon.publish_runner import directories
from checkpointd.daemon.watches import Watch
from checkpointd.ledger import Ledger, LedgerError
from checkpointd.watch.any_watcher import watcher_class

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.config import WatchSettings
    from checkpointd.daemon.event_inbox import EventInbox
    from checkpointd.daemon.publish_runner import PublishRunner
    from checkpointd.daemon.retention_runner import RetentionRunner
    from checkpointd.daemon.reverification import Reverifier
    from checkpointd.daemon.runtimes import Runtimes
    from checkpointd.daemon.threads import LedgerThread
    from checkpointd.daemon.watches import Watches
    from checkpointd.daemon.work_queue import WorkQueue
    from checkpointd.watch.events import WatchEvent

_STOP_SECONDS = 5.0


class WatchError(Exception):
    """A watch cannot be started; the sentence explains why."""


class WatchManager:
    """Starts and stops watches so that those of the config run.

    Args:
        watches: the watches that run; changed here and nowhere else.
        ledger: holds their checkpoints.
        inbox: takes their events.
        work: what waits to be verified.
        runtimes: the interpreters that they name.
        reverifier: renews verdicts that a change of settings has outdated.
        retention: prunes.
        publishing: writes verdict files and links.
    """

    def __init__(
        self,
        watches: Watches,
        ledger: LedgerThread,
        inbox: EventInbox,
        work: WorkQueue,
        runtimes: Runtimes,
        reverifier: Reverifier,
        retention: RetentionRunner,
        publishing: PublishRunner,
    ) -> None:
        self._watches = watches
        self._ledger = ledger
        self._inbox = inbox
        self._work = work
        self._runtimes = runtimes
        self._reverifier = reverifier
        self._retention = retention
        self._publishing = publishing

    async def start(self, configured: Sequence[WatchSettings]) -> None:
        """Start all watches.

        Raises:
            LedgerError: the ledger cannot be read.
            WatchError: one of them cannot be started.
        """
        for settings in configured:
            await self._start(settings, configured)

    async def replace(self, configured: Sequence[WatchSettings]) -> list[str]:
        """Stop what has changed or is configured no more, and start what is new.

        Returns:
            Sentences about what could not be started.
        """
        by_name = {settings.name: settings for settings in configured}
        running = {name: watch.settings for name, watch in self._watches.items()}
        for name in [n for n in running if by_name.get(n) != running[n]]:
            await self._stop(name, configured)
        problems = []
        for name, settings in by_name.items():
            if name in self._watches:
                continue
            try:
                await self._start(settings, configured)
            except (LedgerError, WatchError) as error:
                self._watches.pop(name, None)
                problems.append(f"Watch {name!r} could not be started: {error}")
        return problems

    async def renew_verdicts(self) -> None:
        """Have everything verified again whose verdict is outdated.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        for name in list(self._watches):
            await self._reverifier.renew(name)

    async def close(self) -> None:
        """Stop all watchers; retention and publishing are closed by themselves."""
        watchers = [watch.watcher for watch in self._watches.values()]
        await asyncio.gather(*(asyncio.to_thread(w.stop, _STOP_SECONDS) for w in watchers))

    async def _start(self, settings: WatchSettings, configured: Sequence[WatchSettings]) -> None:
        name, loop = settings.name, asyncio.get_running_loop()
        recorded = await self._ledger(Ledger.recorded_paths, name)

        def emit(event: WatchEvent) -> None:
            self._inbox.send(event, loop)

        try:
            watcher = watcher_class(settings)(
                settings,
                {path: entry.identity for path, entry in recorded.items()},
                emit,
                series={path: entry.series for path, entry in recorded.items()},
                unchanged={
                    path: (entry.key, entry.seen_seconds)
                    for path, entry in recorded.items()
                    if not entry.identity
                },
            )
        except ValueError as error:
            raise WatchError(f"watch {name!r}: {error}") from None
        self._watches[name] = Watch(settings, watcher)
        await self._runtimes.check([self._watches.verify_settings(name).python])
        await self._watches.check_evaluator(name)
        await self._reverifier.renew(name)
        watcher.start()
        self._retention.begin(settings)
        roots = [watch.path for watch in configured if isinstance(watch.path, Path)]
        self._publishing.begin(settings, roots)

    async def _stop(self, name: str, configured: Sequence[WatchSettings]) -> None:
        watch = self._watches.pop(name)
        await self._publishing.forget(name, directories(configured))
        self._work.drop_watch(name)
        await self._retention.forget(name)
        await asyncio.to_thread(watch.watcher.stop, _STOP_SECONDS)
