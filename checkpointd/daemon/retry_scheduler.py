"""When a verdict is not the last word: what is verified again, and after how long."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from checkpointd.core.format_specs import spec_of
from checkpointd.core.verdict import Verdict
from checkpointd.ledger import Ledger, LedgerError
from checkpointd.ledger.facts import ABSENT, FINISHED

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.core.report import Report
    from checkpointd.core.verify_settings import VerifySettings
    from checkpointd.daemon.queue import Item
    from checkpointd.daemon.threads import LedgerThread
    from checkpointd.ledger import Entry

RETRY_SECONDS = 60.0
"""After how long what had no luck is tried again for the first time."""

_MOST_SECONDS = 24 * 3600.0
_DOUBLINGS = 12
_TRANSIENT = ("timeout", "out_of_memory", "unreadable", "environment")
_MENDED = ("evaluate_error", "check_error", "sandbox_unavailable")
"""What a user mends elsewhere than in [watch.verify], so that no settings change."""

log = structlog.get_logger()


def patience(attempt: int) -> float:
    """Seconds until what had no luck is tried again: a minute, two, four, at most a day."""
    return min(RETRY_SECONDS * float(1 << min(attempt - 1, _DOUBLINGS)), _MOST_SECONDS)


def is_transient(report: Report) -> bool:
    """Whether a verdict tells of the verifier's trouble, which may be over another time."""
    return _word(report) in _TRANSIENT


def _word(report: Report) -> str:
    return report.reason.rpartition(".")[2]


def is_outdated(report: Report, settings: VerifySettings) -> bool:
    """Whether a verdict deserves another look under the settings of now.

    That is one that tells of trouble, and what was invalid or inconclusive under other settings,
    or valid although it was not loaded and can be now: a builder has been named since.
    """
    if is_transient(report) or _word(report) in _MENDED:
        return True
    if report.settings_digest == settings.digest:
        return False
    if report.verdict is not Verdict.VALID:
        return True
    spec = spec_of(report.facts.format)
    can_load = settings.builder or spec is None or spec.whole_model
    return bool(can_load) and "loads" not in report.shown and "load" not in settings.skip


class Again:
    """Has what had no luck verified again: each path has one appointment, the last one made.

    Args:
        ledger: tells whether it is still wanted.
        enqueue: takes what is to be verified.
    """

    def __init__(self, ledger: LedgerThread, enqueue: Callable[[Item], None]) -> None:
        self._ledger = ledger
        self._enqueue = enqueue
        self._appointments: dict[str, asyncio.Task[None]] = {}

    def later(self, item: Item, seconds: float) -> None:
        """Verify a generation again after a while, if it is there and has had no luck since."""
        path = item.checkpoint.path
        if (before := self._appointments.get(path)) is not None:
            before.cancel()
        task = self._appointments[path] = asyncio.create_task(self._wait(item, seconds))
        task.add_done_callback(lambda done: self._over(path, done))

    async def _wait(self, item: Item, seconds: float) -> None:
        await asyncio.sleep(seconds)
        try:
            entry = await self._ledger(Ledger.entry, item.checkpoint.path)
        except LedgerError as error:
            log.error("ledger cannot be read", error=str(error))
            self.later(item, RETRY_SECONDS)
            return
        if entry is not None and _is_wanted(entry, item):
            self._enqueue(replace(item, attempt=item.attempt + 1))

    def _over(self, path: str, task: asyncio.Task[None]) -> None:
        if self._appointments.get(path) is task:
            del self._appointments[path]

    def close(self) -> None:
        """Forget all appointments."""
        for task in self._appointments.values():
            task.cancel()


def _is_wanted(entry: Entry, item: Item) -> bool:
    if entry.state in ABSENT or entry.generation.key != item.generation.key:
        return False
    return entry.report is None or entry.state not in FINISHED or is_transient(entry.report)
