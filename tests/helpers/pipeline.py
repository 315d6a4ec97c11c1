"""From a watch's events to verdicts in a real ledger; the dispatcher and the watcher are stubs.

Only so can a checkpoint be overwritten or deleted at the exact moment that matters.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from checkpointd.config import WatchSettings
from checkpointd.core.checkpoint import Checkpoint, Generation, Member
from checkpointd.core.format_specs import Format
from checkpointd.core.report import Facts, Report
from checkpointd.core.request import Answer, End, Request
from checkpointd.core.verdict import Verdict
from checkpointd.daemon.changes import ChangeFeed
from checkpointd.daemon.duty_cycle import DutyCycle
from checkpointd.daemon.event_handler import EventHandler
from checkpointd.daemon.event_inbox import EventInbox
from checkpointd.daemon.request_builder import RequestBuilder
from checkpointd.daemon.retry_scheduler import RetryScheduler
from checkpointd.daemon.reverification import Reverifier
from checkpointd.daemon.runtimes import Runtimes
from checkpointd.daemon.tasks import SideTasks
from checkpointd.daemon.threads import LedgerThread
from checkpointd.daemon.verdict_recorder import VerdictRecorder
from checkpointd.daemon.verifier import Verifier
from checkpointd.daemon.watch_supervisor import WatchSupervisor
from checkpointd.daemon.watches import Watch, Watches
from checkpointd.daemon.work_queue import WorkQueue
from checkpointd.ledger import Ledger
from checkpointd.observe.metrics import Metrics
from checkpointd.observe.snapshot import Snapshot
from checkpointd.watch.events import GenerationUpdate

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

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
class WatcherStub:
    """A watcher that only remembers what it was asked."""

    asked: list[tuple[str, str]] = field(default_factory=list)
    reconciled_at: float = 0.0

    def status(self) -> SimpleNamespace:
        """When its last scan ended."""
        return SimpleNamespace(last_reconcile_at=self.reconciled_at)

    def report_again(self, path: str) -> None:
        """Remember."""
        self.asked.append(("again", path))

    def mark_incomplete(self, path: str, key: str) -> None:
        """Remember."""
        self.asked.append(("incomplete", path))


@dataclass
class DispatcherStub:
    """A dispatcher whose answers the test gives."""

    requests: asyncio.Queue[tuple[Request, asyncio.Future[Answer]]] = field(
        default_factory=asyncio.Queue
    )

    async def verify(self, request: Request, on_check: Any = None) -> Answer:
        """Wait for the test's answer."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        await self.requests.put((request, answer))
        return await answer


class World:
    """The daemon's parts between one watch `w` on `/w` and the ledger."""

    def __init__(self) -> None:
        self.feed = ChangeFeed()
        self.ledger = LedgerThread(self.feed.emit)
        self.dispatcher = DispatcherStub()
        self.watcher = WatcherStub()
        self.metrics = Metrics(Snapshot)
        self.runtimes = Runtimes()
        self.watches = Watches(self.runtimes)
        self.tasks = SideTasks()
        self.inbox = EventInbox(self.watches)
        self.work = WorkQueue(self.metrics.coalesced)
        upgraded = asyncio.Event()
        upgraded.set()
        self.reverifier = Reverifier(self.watches, self.ledger, self.work, upgraded)
        self.retries = RetryScheduler(self.ledger, self.work.push)
        self.verifier = Verifier(
            self.work,
            self.watches,
            RequestBuilder(self.watches, self.ledger),
            self.dispatcher,  # type: ignore[arg-type]
            VerdictRecorder(self.ledger, self.metrics),
            self.retries,
            DutyCycle(lambda: None),
        )
        self.handler = EventHandler(
            self.inbox,
            self.watches,
            self.ledger,
            self.work,
            self.verifier,
            self.metrics,
            self.feed,
            lambda _settings: None,
        )
        self.supervisor = WatchSupervisor(
            self.watches, self.metrics, self.work, self.verifier, self.feed
        )
        self.configure({})

    def configure(self, verify: dict[str, Any], name: str = "w") -> WatchSettings:
        """Let a watch run with these settings of its verifications."""
        settings = WatchSettings.model_validate({"name": name, "path": "/w", "verify": verify})
        self.watches[name] = Watch(settings, self.watcher)  # type: ignore[arg-type]
        return settings

    def see(self, saved: int, state: Any = "settled") -> None:
        """The watch reports a generation."""
        self.inbox.post(GenerationUpdate("w", CHECKPOINT, generation(saved), state))

    async def outdated(self) -> int:
        """How many checkpoints of the watch `w` have an outdated verdict; none waits afterwards."""
        await self.reverifier.renew("w")
        count = len(self.work)
        self.work.drop_watch("w")
        return count

    async def until_queued(self, path: str) -> None:
        """Wait until something waits under a path."""
        for _ in range(1000):
            if self.work.is_waiting("w", path):
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
    """Play a story while events are handled and checkpoints are verified."""

    async def play() -> None:
        world = World()
        await world.ledger.open(tmp_path)
        loops = [
            asyncio.create_task(world.handler.run()),
            asyncio.create_task(world.verifier.run()),
        ]
        try:
            async with asyncio.timeout(20):
                await story(world)
        finally:
            world.inbox.close()
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            world.retries.close()
            world.runtimes.close()
            world.watches.evaluators.close()
            await world.tasks.close()
            await world.ledger.close()

    asyncio.run(play())
