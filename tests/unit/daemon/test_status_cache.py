"""The status and the ledger: counts agree with it at every moment, the rest a moment later."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.core.verdict import Verdict
from checkpointd.daemon.changes import ChangeFeed
from checkpointd.daemon.status_cache import CHANGES, StatusCache
from checkpointd.daemon.threads import LedgerThread
from checkpointd.ledger import Ledger, State
from tests.helpers.verdicts import CHECKPOINT, GENERATION, judged

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


def with_cache(
    directory: Path, story: Callable[[LedgerThread, StatusCache], Awaitable[None]]
) -> None:
    """Run a story with a real ledger and a cache that follows it."""

    async def run() -> None:
        feed = ChangeFeed()
        ledger = LedgerThread(feed.emit)
        await ledger.open(directory)
        cache = StatusCache(ledger)
        feed.subscribe(cache.on_change, CHANGES)
        try:
            await story(ledger, cache)
        finally:
            await ledger.close()

    asyncio.run(run())


def test_a_verdict_counts_as_soon_as_the_ledger_has_it(tmp_path: Path) -> None:
    """Without reading the ledger again."""

    async def story(ledger: LedgerThread, cache: StatusCache) -> None:
        await ledger(Ledger.record_seen, CHECKPOINT, GENERATION, State.PENDING, "")
        assert cache.counts("w") == {"pending": 1}
        await ledger(Ledger.record_report, judged(Verdict.INVALID, "finite.nan"))
        assert cache.counts("w") == {"invalid": 1}
        await ledger(Ledger.record_gone, CHECKPOINT.path)
        assert cache.counts("w") == {}

    with_cache(tmp_path, story)


def test_counts_agree_with_the_ledger_whatever_is_written_while_it_is_read(
    tmp_path: Path,
) -> None:
    """Writes and readings at the same time, in any order, and no count drifts."""
    chance = random.Random(7)  # noqa: S311 - an order of calls, no secret

    async def write(ledger: LedgerThread, number: int) -> None:
        checkpoint = replace(CHECKPOINT, path=f"/w/{number % 5}", series=f"s{number % 2}")
        state = chance.choice([State.PENDING, State.WRITING, State.SUPERSEDED, State.UNKNOWN])
        await ledger(Ledger.record_seen, checkpoint, GENERATION, state, "")
        if chance.random() < 0.3:
            await ledger(Ledger.record_gone, checkpoint.path)

    async def story(ledger: LedgerThread, cache: StatusCache) -> None:
        for begin in range(0, 200, 10):
            writes = [write(ledger, number) for number in range(begin, begin + 10)]
            reads = [cache.refresh() for _ in range(4)]
            work = [*writes, *reads]
            chance.shuffle(work)
            await asyncio.gather(*work)
            counts = (await ledger(Ledger.counts)).get("w", {})
            assert cache.counts("w") == {str(state): n for state, n in counts.items()}

    with_cache(tmp_path, story)


def test_series_and_verdicts_follow_a_moment_later(tmp_path: Path) -> None:
    """They are read from the ledger, only where something has changed."""

    async def story(ledger: LedgerThread, cache: StatusCache) -> None:
        following = asyncio.create_task(cache.keep_fresh())
        await ledger(Ledger.record_report, judged(Verdict.INVALID, "finite.nan"))
        async with asyncio.timeout(10):
            while not cache.attention:  # noqa: ASYNC110 - reading the ledger sets no event
                await asyncio.sleep(0.01)
        assert cache.attention == cache.last_verdicts
        assert cache.attention[0].reason == "finite.nan"
        assert [one.series for one in cache.series("w")] == [CHECKPOINT.series]
        assert cache.retained_bytes("w") == 100
        following.cancel()

    with_cache(tmp_path, story)
