"""Reading retained checkpoints again, one at a time and after everything else: disks rot."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from checkpointd.daemon.queue import Item
from checkpointd.ledger import Ledger, LedgerError

if TYPE_CHECKING:
    from checkpointd.daemon.event_handler import Engine
    from checkpointd.daemon.threads import LedgerThread

_ROUND_SECONDS = 60.0
_NEXT_SECONDS = 1.0


class Scrubbing:
    """Puts what nobody has read for `scrub_every` into the engine's background queue.

    The one that was read longest ago goes first, so that all get their turn; a watch has one at a
    time, so that new saves and comparisons never wait behind many.
    """

    def __init__(self, engine: Engine, ledger: LedgerThread) -> None:
        self._engine = engine
        self._ledger = ledger
        self._asked: dict[str, str] = {}

    async def run(self) -> None:
        """Look for work until cancelled: soon again while there is some, else every minute."""
        while True:
            try:
                busy = [await self._ask(name) for name in list(self._engine.watches)]
            except LedgerError:
                busy = []
            await asyncio.sleep(_NEXT_SECONDS if any(busy) else self._pause())

    def _pause(self) -> float:
        """How long there may be nothing to do: a minute, or what the most eager watch wants."""
        wanted = (settings.scrub_every for settings, _ in self._engine.watches.values())
        return min([_ROUND_SECONDS, *(every for every in wanted if every is not None)])

    async def _ask(self, watch: str) -> bool:
        """Ask for the next of a watch; whether one is under way."""
        engine = self._engine
        settings, watcher = engine.watches[watch]
        path = self._asked.get(watch, "")
        if engine.background.holds(watch, path) or path in engine.verifying:
            return True
        self._asked.pop(watch, None)
        status = watcher.status()
        if settings.scrub_every is None or not (status.up and status.ready):
            return False
        before = time.time() - settings.scrub_every
        entry = await self._ledger(Ledger.unread_for_longest, watch, before)
        if entry is None or entry.report is None or not entry.report.facts.digest:
            return False
        if watch not in engine.watches or engine.queue.holds(watch, entry.path):
            return False
        self._asked[watch] = entry.path
        digest = entry.report.facts.digest
        engine.background.push(
            Item(entry.checkpoint, entry.generation, time.time(), compare=digest, scrub=True)
        )
        engine.wake.set()
        return True
