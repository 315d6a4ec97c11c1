"""Reads retained checkpoints again, one at a time and after everything else: disks rot."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.daemon.fair_queue import Item
from checkpointd.ledger import Ledger, LedgerError

if TYPE_CHECKING:
    from checkpointd.daemon.threads import LedgerThread
    from checkpointd.daemon.watches import Watches
    from checkpointd.daemon.work_queue import WorkQueue
    from checkpointd.ledger import Entry

_ROUND_SECONDS = 60.0
_NEXT_SECONDS = 1.0
_UNREAD_SECONDS = 5.0


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
            if any(busy):
                await asyncio.sleep(_NEXT_SECONDS)
            else:
                await self._rest()

    async def _rest(self) -> None:
        """Wait until there may be something to do; at once if an older ledger was put back."""
        until = time.monotonic() + self._pause()
        while (left := until - time.monotonic()) > 0:
            await asyncio.sleep(min(left, _UNREAD_SECONDS))
            with contextlib.suppress(LedgerError):
                if any([await self._ledger(Ledger.unread, name) for name in list(self._watches)]):
                    return

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
        if not (status.up and status.ready):
            return False
        entry, again = await self._next(name, watch.settings.scrub_every)
        report = entry.whole_report if entry is not None else None
        if entry is None or report is None or name not in self._watches:
            return False
        if self._is_waiting(name, entry.path):
            return False
        digest = report.facts.digest
        item = Item(entry.checkpoint, entry.generation, time.time(), compare=digest, scrub=True)
        if digest:
            self._work.push_background(item)
        elif again:
            self._work.push(replace(item, scrub=False))
        if digest or again:
            self._scrubbing[name] = entry.path
        return bool(digest) or again

    async def _next(self, name: str, scrub_every: float | None) -> tuple[Entry | None, bool]:
        """The checkpoint to read next, and whether it must be read because of a restored ledger."""
        entry = await self._ledger(Ledger.next_unread, name)
        if entry is not None:
            return entry, True
        if scrub_every is None:
            return None, False
        before = time.time() - scrub_every
        return await self._ledger(Ledger.unread_for_longest, name, before), False

    def _is_waiting(self, name: str, path: str) -> bool:
        """Whether a path waits anyway: as a new save, to be compared, or to be evaluated."""
        return self._work.is_waiting(name, path) or self._work.is_in_background(name, path)
