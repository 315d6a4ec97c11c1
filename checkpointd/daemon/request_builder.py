"""Builds the request of a verification: settings, and the history of the series."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.core.request import Former, Previous, Request
from checkpointd.core.suite import CHECKS, INTACT_CHECKS
from checkpointd.core.verify_settings import MAX
from checkpointd.daemon.structure_failure import was_checkpoint
from checkpointd.ledger import Ledger

if TYPE_CHECKING:
    from checkpointd.core.verify_settings import VerifySettings
    from checkpointd.daemon.fair_queue import Item
    from checkpointd.daemon.threads import LedgerThread
    from checkpointd.daemon.watches import Watches

_NO_DIGEST = tuple(name for name in CHECKS if name not in INTACT_CHECKS)


class RequestBuilder:
    """Builds requests; every method that reads the ledger raises LedgerError if it cannot.

    Args:
        watches: give the settings.
        ledger: gives the history.
    """

    def __init__(self, watches: Watches, ledger: LedgerThread) -> None:
        self._watches = watches
        self._ledger = ledger

    def comparison(self, item: Item) -> Request:
        """Request the digest of a checkpoint's content and nothing else."""
        settings = self._watches.verify_settings(item.checkpoint.watch)
        settings = replace(settings, skip=_NO_DIGEST, checks=())
        digest = item.compare if item.scrub else ""
        return Request(item.checkpoint, item.generation, settings, overdue=True, digest=digest)

    async def verification(self, item: Item, *, copied: bool) -> Request:
        """Request all checks, given what came before in the series.

        Args:
            item: what is to be verified.
            copied: whether a private copy is verified.
        """
        checkpoint = item.checkpoint
        last = await self._ledger(
            Ledger.last_valid, checkpoint.watch, checkpoint.series, checkpoint.path
        )
        report = last.whole_report if last else None
        previous = (
            Previous(last.checkpoint.path, report.facts, last.step) if last and report else None
        )
        await self._watches.check_evaluator(checkpoint.watch)
        settings = self._watches.verify_settings(checkpoint.watch)
        digest = ""
        if not item.replaced:
            digest = await self._ledger(Ledger.digest_of, checkpoint.path, item.generation)
        before = await self._ledger(Ledger.last_intact, checkpoint.path)
        return Request(
            checkpoint,
            item.generation,
            settings,
            previous,
            former=Former(before.generation, before.facts) if before else None,
            best=await self._best(item, settings),
            overdue=item.overdue,
            idle=item.idle,
            digest=digest,
            copied=copied,
        )

    async def was_checkpoint(self, path: str) -> bool:
        """Whether a checkpoint at this path was ever read whole."""
        return was_checkpoint(await self._ledger(Ledger.history, path))

    async def _best(self, item: Item, settings: VerifySettings) -> dict[str, float]:
        """The best of the series so far, of each metric that is bounded by it."""
        modes = {n: b.mode for n, b in settings.bounds.items() if b.within_of_best is not None}
        if not modes:
            return {}
        extremes = await self._ledger(
            Ledger.extremes, item.checkpoint, item.generation, settings.evaluate.digest
        )
        return {n: extremes[n][modes[n] == MAX] for n in modes if n in extremes}
