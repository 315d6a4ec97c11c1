"""When a verification that failed for transient reasons is retried, and when no longer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.core.checkpoint import Generation, Member
from checkpointd.core.report import Report
from checkpointd.core.verdict import Verdict
from checkpointd.daemon.fair_queue import Item
from checkpointd.daemon.retry_scheduler import RetryScheduler, retry_delay
from checkpointd.daemon.threads import LedgerThread
from checkpointd.ledger import Ledger, State
from tests.helpers.verdicts import CHECKPOINT, GENERATION, judged

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


def test_a_retry_waits_twice_as_long_each_time_and_a_day_at_most() -> None:
    """Trouble that lasts costs less and less, and is never given up."""
    waits = [retry_delay(attempt) for attempt in range(1, 40)]
    assert waits[:5] == [60, 120, 240, 480, 960]
    assert waits == sorted(waits)
    assert waits[-1] == 24 * 3600


def with_ledger(
    directory: Path, story: Callable[[LedgerThread, RetryScheduler, list[Item]], Awaitable[None]]
) -> None:
    """Run a story with a real ledger, a scheduler, and the list of what it enqueues."""

    async def run() -> None:
        ledger = LedgerThread()
        await ledger.open(directory)
        queued: list[Item] = []
        retries = RetryScheduler(ledger, queued.append)
        try:
            await story(ledger, retries, queued)
        finally:
            retries.close()
            await ledger.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("happens", "comes"),
    [
        (None, 1),
        (judged(Verdict.INCONCLUSIVE, "load.timeout"), 1),
        (judged(Verdict.VALID), 0),
        ("gone", 0),
        ("overwritten", 0),
    ],
)
def test_a_retry_happens_only_while_it_is_needed(tmp_path: Path, happens: Any, comes: int) -> None:
    """What got its verdict meanwhile, went or changed, is not verified once more."""

    async def story(ledger: LedgerThread, retries: RetryScheduler, queued: list[Item]) -> None:
        await ledger(Ledger.record_seen, CHECKPOINT, GENERATION, State.PENDING, "")
        item = Item(CHECKPOINT, GENERATION, 1.0, attempt=3)
        retries.schedule(item, 3600.0)
        retries.schedule(item, 0.05)
        if isinstance(happens, Report):
            await ledger(Ledger.record_report, happens)
        elif happens == "gone":
            await ledger(Ledger.record_gone, CHECKPOINT.path)
        elif happens == "overwritten":
            newer = Generation((Member("", 1, 2, 100, 2 * 10**9, 10**9),))
            await ledger(Ledger.record_seen, CHECKPOINT, newer, State.PENDING, "")
        await asyncio.gather(*retries._retries.values())
        assert queued == [replace(item, attempt=4)] * comes
        assert not retries._retries

    with_ledger(tmp_path, story)
