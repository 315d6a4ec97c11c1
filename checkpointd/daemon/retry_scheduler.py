"""Retries verifications that failed for transient reasons."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from checkpointd.ledger import Ledger, LedgerError
from checkpointd.ledger.facts import ABSENT, FINISHED

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.core.report import Report
    from checkpointd.daemon.fair_queue import Item
    from checkpointd.daemon.threads import LedgerThread
    from checkpointd.ledger import Entry, ReportSummary

RETRY_SECONDS = 60.0
"""The delay before the first retry."""

_MOST_SECONDS = 24 * 3600.0
_DOUBLINGS = 12
TRANSIENT = ("timeout", "out_of_memory", "unreadable", "environment")
"""Last words of reasons that may be gone the next time."""


log = structlog.get_logger()


def retry_delay(attempt: int) -> float:
    """Seconds until the next attempt: one minute, two, four, at most a day."""
    return min(RETRY_SECONDS * float(1 << min(attempt - 1, _DOUBLINGS)), _MOST_SECONDS)


def is_transient(report: Report | ReportSummary) -> bool:
    """Whether a verdict's reason is outside the checkpoint, and may be gone the next time."""
    return last_word(report) in TRANSIENT


def last_word(report: Report | ReportSummary) -> str:
    """The part of a report's reason after the check's name."""
    return report.reason.rpartition(".")[2]


class RetryScheduler:
    """Retries verifications after a delay; each path has one retry at most, the last one asked for.

    Args:
        ledger: decides whether the retry is still needed.
        enqueue: takes what is to be verified.
    """

    def __init__(self, ledger: LedgerThread, enqueue: Callable[[Item], None]) -> None:
        self._ledger = ledger
        self._enqueue = enqueue
        self._retries: dict[str, asyncio.Task[None]] = {}

    def schedule(self, item: Item, seconds: float) -> None:
        """Retry after a delay, if the generation is still there then and still needs a verdict."""
        path = item.checkpoint.path
        if (before := self._retries.get(path)) is not None:
            before.cancel()
        task = self._retries[path] = asyncio.create_task(self._retry(item, seconds))
        task.add_done_callback(lambda done: self._ended(path, done))

    async def _retry(self, item: Item, seconds: float) -> None:
        await asyncio.sleep(seconds)
        try:
            entry = await self._ledger(Ledger.entry, item.checkpoint.path)
        except LedgerError as error:
            log.error("ledger cannot be read", error=str(error))
            self.schedule(item, RETRY_SECONDS)
            return
        if entry is not None and _needs_verdict(entry, item):
            self._enqueue(replace(item, attempt=item.attempt + 1))

    def _ended(self, path: str, task: asyncio.Task[None]) -> None:
        if self._retries.get(path) is task:
            del self._retries[path]

    def close(self) -> None:
        """Cancel all retries."""
        for task in self._retries.values():
            task.cancel()


def _needs_verdict(entry: Entry, item: Item) -> bool:
    if entry.state in ABSENT or entry.generation.key != item.generation.key:
        return False
    return entry.report is None or entry.state not in FINISHED or is_transient(entry.report)
