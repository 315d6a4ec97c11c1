"""The daemon's heart: what the watches saw goes into the ledger, to the workers, and back."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from checkpointd.core.verify_settings import VerifySettings
from checkpointd.daemon.queue import Item, Queue
from checkpointd.daemon.retry_scheduler import RETRY_SECONDS, Again, is_outdated
from checkpointd.daemon.runtimes import Runtimes
from checkpointd.daemon.structure_failure import unread
from checkpointd.daemon.verifier import Verifications
from checkpointd.ledger import Entry, Ledger, LedgerError, State
from checkpointd.watch.events import (
    Coalesced,
    GenerationUpdate,
    Gone,
    MetadataChanged,
    Reconciled,
    SeriesChanged,
    WatchEvent,
    WatchHealth,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.config import WatchSettings
    from checkpointd.daemon.threads import LedgerThread
    from checkpointd.dispatch import Dispatcher
    from checkpointd.observe.metrics import Metrics
    from checkpointd.watch.watcher import Watcher

_WRITE_AGAIN_SECONDS = 5.0
_EVENT_ATTEMPTS = 3
_MOST_EVENTS = 1000
_ROOM_SECONDS = 0.5

log = structlog.get_logger()


class Engine:
    """Turns sightings into verdicts; everything runs in one event loop.

    Args:
        ledger: where everything is kept.
        dispatcher: who verifies.
        metrics: who is told for Prometheus.
        on_change: called with a watch's name when retention should look at it again.
    """

    def __init__(
        self,
        ledger: LedgerThread,
        dispatcher: Dispatcher,
        metrics: Metrics,
        on_change: Callable[[str], None],
    ) -> None:
        self.queue = Queue()
        self.watches: dict[str, tuple[WatchSettings, Watcher]] = {}
        self.dispatcher = dispatcher
        self.background = Queue()
        self.runtimes = Runtimes()
        self.touched: Callable[[str], None] = lambda _watch: None
        self.trouble = ""
        self.hung: set[str] = set()
        self.dirty = asyncio.Event()
        self.wake = asyncio.Event()
        self.verifications = Verifications(self, ledger, metrics, on_change)
        self._ledger = ledger
        self._metrics = metrics
        self._on_change = on_change
        self.closing = False
        self._events: asyncio.Queue[WatchEvent] = asyncio.Queue()
        self._room = threading.Semaphore(_MOST_EVENTS)
        self._tasks: set[asyncio.Task[None]] = set()
        self.again = Again(ledger, self.enqueue)

    def tell(self, event: WatchEvent, loop: asyncio.AbstractEventLoop) -> None:
        """Take an event in a watch's own thread, which waits while too many are not yet handled.

        So a directory with a million files is listed no faster than the ledger can write.
        """
        while not self._room.acquire(timeout=_ROOM_SECONDS):
            if self.closing or event.watch not in self.watches:
                return
        with contextlib.suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(self.post, event)

    def post(self, event: WatchEvent) -> None:
        """Take an event from a watch; must be called in the loop's thread."""
        self._events.put_nowait(event)

    def settings(self, watch: str) -> VerifySettings:
        """How checkpoints of a watch are verified now."""
        known = self.watches.get(watch)
        settings = known[0].verify.to_settings() if known else VerifySettings()
        return replace(settings, runtime=self.runtimes.of(settings.python))

    @property
    def verifying(self) -> dict[str, tuple[Item, float]]:
        """What is being verified, by path, and since when (monotonic seconds)."""
        return self.verifications.running

    def set_hung(self, watches: set[str]) -> None:
        """Say whose disk does not answer: nothing of these is verified until it does."""
        for watch in watches ^ self.hung:
            log.warning(
                "disk does not answer" if watch in watches else "disk answers again", watch=watch
            )
            self._on_change(watch)
        if watches != self.hung:
            self.hung = watches
            self.verifications.leave(watches)
            self.wake.set()
            self.dirty.set()

    async def handle_events(self) -> None:
        """Take events until cancelled; nothing is lost while the ledger cannot be written."""
        while True:
            event = await self._events.get()
            for attempt in itertools.count(1):
                try:
                    await self._handle(event)
                    self.trouble = ""
                    break
                except LedgerError as error:
                    self.trouble = str(error)
                    log.error("ledger cannot be written", error=str(error))
                    if attempt >= _EVENT_ATTEMPTS and await self._is_its_own_fault():
                        self._leave(event)
                        break
                    await asyncio.sleep(_WRITE_AGAIN_SECONDS)
            self._room.release()

    async def _is_its_own_fault(self) -> bool:
        """Whether the ledger takes other things: then it is this event that it cannot take."""
        try:
            await self._ledger(Ledger.check_writable)
        except LedgerError:
            return False
        return True

    def _leave(self, event: WatchEvent) -> None:
        """Go on without an event, and look at what it was about again later."""
        path = event.checkpoint.path if isinstance(event, GenerationUpdate) else ""
        log.error("left out, the ledger does not take it", watch=event.watch, path=path)
        known = self.watches.get(event.watch)
        if known is not None and path:
            asyncio.get_running_loop().call_later(RETRY_SECONDS, known[1].report_again, path)

    async def _handle(self, event: WatchEvent) -> None:
        if event.watch not in self.watches:
            return
        if isinstance(event, GenerationUpdate):
            await self._sighted(event)
        elif isinstance(event, Gone):
            self.queue.drop(event.watch, event.path)
            self.background.drop(event.watch, event.path)
            self.verifications.forget(event.path)
            await self._ledger(Ledger.gone, event.path)
            log.info("gone", watch=event.watch, path=event.path)
            self._on_change(event.watch)
        elif isinstance(event, MetadataChanged):
            await self._touched(event)
        elif isinstance(event, SeriesChanged):
            await self._placed(event)
        elif isinstance(event, Coalesced):
            self._metrics.coalesced(event.watch)
        elif isinstance(event, Reconciled):
            self._metrics.reconciled(event.watch, event.seconds, event.at)
            return
        elif isinstance(event, WatchHealth):
            tell = log.info if event.up else log.warning
            tell(
                "watch is up" if event.up else "watch is down",
                watch=event.watch,
                message=event.message,
            )
            self._on_change(event.watch)
        self.touched(event.watch)
        self.dirty.set()

    async def _sighted(self, event: GenerationUpdate) -> None:
        path = event.checkpoint.path
        known = await self._ledger(Ledger.entry, path)
        if known is None or known.state is State.GONE:
            self._metrics.discovered(event.watch, str(event.checkpoint.format))
        if event.state == "writing":
            self.spawn(self.dispatcher.warm(self.settings(event.watch)))
            await self._ledger(
                Ledger.sighted, event.checkpoint, event.generation, State.WRITING, event.message
            )
            log.info("writing", watch=event.watch, path=path, message=event.message)
        elif event.state == "torn":
            reason = event.reason or "structure.truncated"
            report = unread(
                event.checkpoint,
                event.generation,
                self.settings(event.watch),
                reason,
                event.message,
            )
            await self.verifications.finish(report)
        else:
            await self.verify(
                Item(event.checkpoint, event.generation, time.time(), overdue=event.overdue)
            )

    async def _touched(self, event: MetadataChanged) -> None:
        """Have the content compared with the digest of its verdict, or verified if it has none."""
        entry = await self._ledger(Ledger.entry, event.path)
        if entry is None or entry.generation.key != event.generation.key:
            return
        digest = entry.report.facts.digest if entry.report else ""
        item = Item(entry.checkpoint, event.generation, time.time(), compare=digest)
        if digest:
            self.background.push(item)
            self.wake.set()
        elif entry.state is not State.UNKNOWN:
            await self.verify(item)

    async def _placed(self, event: SeriesChanged) -> None:
        entry = await self._ledger(Ledger.placed, event.checkpoint)
        if entry is None:
            return
        checkpoint = entry.checkpoint
        log.info("placed", watch=event.watch, path=checkpoint.path, series=checkpoint.series)
        self._on_change(event.watch)

    async def verify(self, item: Item) -> None:
        """Note that a generation has no verdict yet, and have it verified."""
        await self._ledger(Ledger.sighted, item.checkpoint, item.generation, State.PENDING, "")
        self.enqueue(item)

    def enqueue(self, item: Item) -> None:
        """Have a generation verified."""
        if self.queue.push(item):
            self._metrics.coalesced(item.checkpoint.watch)
        self.background.drop(item.checkpoint.watch, item.checkpoint.path)
        self.wake.set()
        self.dirty.set()

    async def verify_again(self, entries: list[Entry]) -> None:
        """Queue entries whose verdict is to be renewed."""
        for entry in entries:
            self.enqueue(Item(entry.checkpoint, entry.generation, time.time()))

    async def outdated(self, watch: str) -> list[Entry]:
        """What deserves another look under the settings of now; see `again.is_outdated`."""
        settings = self.settings(watch)
        verdicts = [State.VALID, State.INVALID, State.INCONCLUSIVE]
        entries = await self._ledger(Ledger.entries, watch, states=verdicts)
        return [e for e in entries if e.report and is_outdated(e.report, settings)]

    def spawn(self, work: Any) -> None:
        """Do something beside the loops, until it ends or the daemon does."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a side task failed", error=f"{type(error).__name__}: {error}")

    async def close(self) -> None:
        """Cancel what was started beside the loops."""
        self.runtimes.close()
        self.again.close()
        for task in list(self._tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
