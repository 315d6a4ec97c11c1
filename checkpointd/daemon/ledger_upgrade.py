"""Upgrades a ledger of an older version while the daemon already works.

It takes a third of a millisecond for each known checkpoint: of 100 000 that is half a minute, for
which neither the start nor any other user of the ledger should wait.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from checkpointd.ledger import Change, ChangeKind, Ledger, LedgerError

if TYPE_CHECKING:
    from checkpointd.daemon.changes import ChangeFeed
    from checkpointd.daemon.threads import LedgerThread

_AT_START = 500
_AT_ONCE = 200
_PAUSE_SECONDS = 0.02
_RETRY_SECONDS = 5.0

log = structlog.get_logger()


class LedgerUpgrade:
    """Adds summaries of reports, a few at a time.

    `done` is set once there is nothing more to add. Until then, all that reads every report waits:
    pruning, and the renewal of outdated verdicts.

    Args:
        ledger: the ledger.
        feed: passes on that every watch can be planned, as soon as that is so.
    """

    def __init__(self, ledger: LedgerThread, feed: ChangeFeed) -> None:
        self._ledger = ledger
        self._feed = feed
        self.done = asyncio.Event()

    async def begin(self) -> None:
        """Add the first ones; a small ledger needs no more.

        Raises:
            LedgerError: the ledger cannot be read or written.
        """
        if await self._ledger(Ledger.add_summaries, _AT_START) < _AT_START:
            self.done.set()

    async def run(self) -> None:
        """Add the others; never returns."""
        if not self.done.is_set():
            began, count = time.monotonic(), _AT_START
            log.info("the ledger of an older version is being brought up to date")
            while (added := await self._add()) >= _AT_ONCE:
                count += added
                await asyncio.sleep(_PAUSE_SECONDS)
            self.done.set()
            self._feed.emit([Change(ChangeKind.AVAILABILITY, "")])
            seconds = round(time.monotonic() - began, 1)
            log.info("the ledger is up to date", reports=count + added, seconds=seconds)
        await asyncio.Event().wait()

    async def _add(self) -> int:
        while True:
            try:
                return await self._ledger(Ledger.add_summaries, _AT_ONCE)
            except LedgerError as error:
                log.error("ledger cannot be written", error=str(error))
                await asyncio.sleep(_RETRY_SECONDS)
