"""A running engine with a real ledger, and a dispatcher and a watcher that stand in.

Only so can a checkpoint be overwritten or deleted at the exact moment that matters.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from checkpointd.config import WatchSettings
from checkpointd.core.checkpoint import Checkpoint, Generation, Member
from checkpointd.core.format_specs import Format
from checkpointd.core.report import Facts, Report
from checkpointd.core.request import Answer, End, Request
from checkpointd.core.verdict import Verdict
from checkpointd.daemon.event_handler import Engine
from checkpointd.daemon.threads import LedgerThread
from checkpointd.ledger import Ledger
from checkpointd.observe.metrics import Metrics
from checkpointd.observe.snapshot import Snapshot
from checkpointd.watch.events import GenerationUpdate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from checkpointd.core.verify_settings import VerifySettings

CHECKPOINT = Checkpoint("/w/a.keras", Format.KERAS, "w", "a.keras")


def generation(saved: int, inode: int = 2) -> Generation:
    """One file of 100 bytes, saved at `saved` seconds."""
    return Generation((Member("", 1, inode, 100, saved * 10**9, saved * 10**9),))


def report(
    request: Request, verdict: Verdict = Verdict.VALID, reason: str = "", digest: str = "d"
) -> Answer:
    """The answer of a verification that ended."""
    return Answer(
        End.DONE,
        "",
        Report(
            checkpoint=request.checkpoint,
            generation=request.generation,
            verdict=verdict,
            reason=reason,
            message="",
            shown=("intact",),
            checks=(),
            facts=Facts(format=Format.KERAS, digest=digest),
            duration_seconds=0.1,
            settings_digest=request.settings.digest,
            finished_at=time.time(),
        ),
    )


@dataclass
class Told:
    """A watcher that only remembers what it was asked."""

    asked: list[tuple[str, str]] = field(default_factory=list)

    def report_again(self, path: str) -> None:
        """Remember."""
        self.asked.append(("again", path))

    def mark_incomplete(self, path: str, key: str) -> None:
        """Remember."""
        self.asked.append(("incomplete", path))


@dataclass
class Held:
    """A dispatcher that answers when it is told to, and what it is told to."""

    requests: asyncio.Queue[tuple[Request, asyncio.Future[Answer]]] = field(
        default_factory=asyncio.Queue
    )

    async def warm(self, settings: VerifySettings) -> None:
        """Nothing to warm."""

    async def verify(self, request: Request, on_check: Any = None) -> Answer:
        """Wait for the test's answer."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        await self.requests.put((request, answer))
        return await answer


@dataclass
class World:
    """An engine with its ledger, and the two that stand in."""

    ledger: LedgerThread
    dispatcher: Held
    watcher: Told
    engine: Engine
    metrics: Metrics

    def see(self, saved: int, state: Any = "settled") -> None:
        """The watch tells of a generation."""
        self.engine.post(GenerationUpdate("w", CHECKPOINT, generation(saved), state))

    async def until_queued(self, path: str) -> None:
        """Wait until something waits under a path."""
        for _ in range(1000):
            if self.engine.queue.holds("w", path):
                return
            await asyncio.sleep(0.005)
        raise AssertionError(f"{path} was never queued")

    async def until(self, condition: Callable[[Any], bool]) -> Any:
        """Wait until the entry fulfils a condition."""
        for _ in range(1000):
            entry = await self.ledger(Ledger.entry, CHECKPOINT.path)
            if entry is not None and condition(entry):
                return entry
            await asyncio.sleep(0.005)
        raise AssertionError(f"it never came: {entry}")


def in_world(tmp_path: Path, story: Callable[[World], Awaitable[None]]) -> None:
    """Play a story with a running engine."""

    async def play() -> None:
        ledger = LedgerThread()
        await ledger.open(tmp_path)
        dispatcher, watcher = Held(), Told()
        metrics = Metrics(Snapshot)
        engine = Engine(ledger, dispatcher, metrics, lambda _watch: None)  # type: ignore[arg-type]
        settings = WatchSettings.model_validate({"name": "w", "path": "/w"})
        engine.watches["w"] = (settings, watcher)  # type: ignore[assignment]
        tasks = [
            asyncio.create_task(engine.handle_events()),
            asyncio.create_task(engine.verifications.run()),
        ]
        try:
            async with asyncio.timeout(20):
                await story(World(ledger, dispatcher, watcher, engine, metrics))
        finally:
            engine.closing = True
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await engine.close()
            await ledger.close()

    asyncio.run(play())
