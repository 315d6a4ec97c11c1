"""Reads retained checkpoints again, one at a time and after everything else: disks rot."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from checkpointd.daemon.fair_queue import Item
from checkpointd.ledger import Ledger, LedgerError

if TYPE_CHECKING:
    from checkpointd.daemon.threads import LedgerThread
    from checkpointd.daemon.watches import Watches
    from checkpointd.daemon.work_queue import WorkQueue

_ROUND_SECONDS = 60.0
_NEXT_SECONDS = 1.0


class Scrubber:
    """Puts what was not read for `scrub_every` into the background of the work queue.

    The one that was read longest ago goes first, so that all get their turn; a watch has one at a
    time, so that new saves and comparisons never wait behind many.

    Args:
        watches: the watches that run.
        ledger: holds when each checkpoint was last read.
        work: takes what is to be read.
    """

    def __init__(self, watches: Watches, ledger: LedgerThread, work: WorkQueue) -> None:
        self._watches = watches
        self._ledger = ledger
        self._work = work
        self._scrubbing: dict[str, str] = {}

    async def run(self) -> None:
        """Queue scrubs until cancelled: every second while there are some, else every minute."""
        while True:
            try:
                busy = [await self._scrub(name) for name in list(self._watches)]
            except LedgerError:
                busy = []
            await asyncio.sleep(_NEXT_SECONDS if any(busy) else self._pause())

    def _pause(self) -> float:
        """Seconds until there may be something to do: a minute, or the shortest `scrub_every`."""
        every = (watch.settings.scrub_every for watch in self._watches.values())
        return min([_ROUND_SECONDS, *(seconds for seconds in every if seconds is not None)])

    async def _scrub(self, name: str) -> bool:
        """Queue the next checkpoint of a watch; return whether one is queued or being read."""
        watch = self._watches.get(name)
        if watch is None:
            return False
        path = self._scrubbing.get(name, "")
        if self._work.is_in_background(name, path) or path in self._work.running:
            return True
        self._scrubbing.pop(name, None)
        status = watch.watcher.status()
        scrub_every = watch.settings.scrub_every
        if scrub_every is None or not (status.up and status.ready):
            return False
        before = time.time() - scrub_every
        entry = await self._ledger(Ledger.unread_for_longest, name, before)
        if entry is None or entry.report is None or not entry.report.facts.digest:
            return False
        if name not in self._watches or self._is_waiting(name, entry.path):
            return False
        self._scrubbing[name] = entry.path
        digest = entry.report.facts.digest
        self._work.push_background(
            Item(entry.checkpoint, entry.generation, time.time(), compare=digest, scrub=True)
        )
        return True

    def _is_waiting(self, name: str, path: str) -> bool:
        """Whether a path waits anyway: as a new save, to be compared, or to be evaluated."""
        return self._work.is_waiting(name, path) or self._work.is_in_background(name, path)
