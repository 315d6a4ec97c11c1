"""The daemon's heart: what the watches saw goes into the ledger, to the workers, and back."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import structlog

from checkpointd.checkpoint import (
    CheckResult,
    End,
    Facts,
    Outcome,
    Previous,
    Report,
    Request,
    Verdict,
    VerifySettings,
)
from checkpointd.daemon import hook
from checkpointd.daemon.queue import Item, Queue
from checkpointd.dispatch.environment import runtime_of
from checkpointd.dispatch.judge import not_run
from checkpointd.ledger import Entry, Ledger, LedgerError, State
from checkpointd.ledger.facts import ABSENT
from checkpointd.watch.events import (
    Coalesced,
    Gone,
    Reconciled,
    Sighting,
    WatchEvent,
    WatchHealth,
)
from checkpointd.worker.protocol import LOAD, SCAN

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.checkpoint import Answer
    from checkpointd.config import WatchSettings
    from checkpointd.daemon.threads import LedgerThread
    from checkpointd.dispatch import Dispatcher
    from checkpointd.observe.metrics import Metrics
    from checkpointd.watch.watcher import Watcher

_STATES = {
    End.INCOMPLETE: State.WRITING,
    End.SUPERSEDED: State.SUPERSEDED,
    End.UNKNOWN: State.UNKNOWN,
}
_TRANSIENT = ("timeout", "out_of_memory", "unreadable", "environment")
_RETRY_SECONDS = 60.0
_RETRY_LIMIT = 5
_WRITE_AGAIN_SECONDS = 5.0
_EVENT_ATTEMPTS = 3
_SUPERSEDED_AT_ONCE = 3
_SUPERSEDED_SECONDS = 300.0

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
        self.trouble = ""
        self.verifying: dict[str, tuple[Item, float]] = {}
        self._superseded: dict[str, int] = {}
        self.dirty = asyncio.Event()
        self._ledger = ledger
        self._metrics = metrics
        self._on_change = on_change
        self._wake = asyncio.Event()
        self._events: asyncio.Queue[WatchEvent] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    def post(self, event: WatchEvent) -> None:
        """Take an event from a watch; must be called in the loop's thread."""
        self._events.put_nowait(event)

    def settings(self, watch: str) -> VerifySettings:
        """How checkpoints of a watch are verified now."""
        known = self.watches.get(watch)
        settings = known[0].verify.to_settings() if known else VerifySettings()
        return replace(settings, runtime=runtime_of(settings.python))

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

    async def _is_its_own_fault(self) -> bool:
        """Whether the ledger takes other things: then it is this event that it cannot take."""
        try:
            await self._ledger(Ledger.check_writable)
        except LedgerError:
            return False
        return True

    def _leave(self, event: WatchEvent) -> None:
        """Go on without an event, and look at what it was about again later."""
        path = event.checkpoint.path if isinstance(event, Sighting) else ""
        log.error("left out, the ledger does not take it", watch=event.watch, path=path)
        known = self.watches.get(event.watch)
        if known is not None and path:
            asyncio.get_running_loop().call_later(_RETRY_SECONDS, known[1].again, path)

    async def _handle(self, event: WatchEvent) -> None:
        if event.watch not in self.watches:
            return
        if isinstance(event, Sighting):
            await self._sighted(event)
        elif isinstance(event, Gone):
            self.queue.drop(event.watch, event.path)
            self._superseded.pop(event.path, None)
            await self._ledger(Ledger.gone, event.path)
            log.info("gone", watch=event.watch, path=event.path)
        elif isinstance(event, Coalesced):
            self._metrics.coalesced(event.watch)
        elif isinstance(event, Reconciled):
            self._metrics.reconciled(event.watch, event.seconds, event.at)
            self._on_change(event.watch)
        elif isinstance(event, WatchHealth):
            tell = log.info if event.up else log.warning
            tell(
                "watch is up" if event.up else "watch is down",
                watch=event.watch,
                message=event.message,
            )
            self._on_change(event.watch)
        self.dirty.set()

    async def _sighted(self, event: Sighting) -> None:
        path = event.checkpoint.path
        known = await self._ledger(Ledger.entry, path)
        if known is None or known.state is State.GONE:
            self._metrics.discovered(event.watch, str(event.checkpoint.format))
        if event.state == "writing":
            self._spawn(self.dispatcher.warm(self.settings(event.watch)))
            await self._ledger(
                Ledger.sighted, event.checkpoint, event.generation, State.WRITING, event.message
            )
            log.info("writing", watch=event.watch, path=path, message=event.message)
        elif event.state == "torn":
            await self._finish(_torn(event, self.settings(event.watch)))
        else:
            await self._ledger(
                Ledger.sighted, event.checkpoint, event.generation, State.PENDING, ""
            )
            self.enqueue(Item(event.checkpoint, event.generation, time.time()))

    def enqueue(self, item: Item) -> None:
        """Have a generation verified."""
        if self.queue.push(item):
            self._metrics.coalesced(item.checkpoint.watch)
        self._wake.set()
        self.dirty.set()

    async def verify_again(self, entries: list[Entry]) -> None:
        """Queue entries whose verdict is to be renewed."""
        for entry in entries:
            self.enqueue(Item(entry.checkpoint, entry.generation, time.time()))

    async def outdated(self, watch: str) -> list[Entry]:
        """What deserves another look under the settings of now.

        That is what was invalid or inconclusive under others, what had no luck, and what was
        valid although it could not be loaded: a builder may have been named since.
        """
        digest = self.settings(watch).digest
        verdicts = [State.VALID, State.INVALID, State.INCONCLUSIVE]
        entries = await self._ledger(Ledger.entries, watch, states=verdicts)
        return [e for e in entries if e.report and _is_outdated(e.report, digest)]

    async def verify_forever(self) -> None:
        """Verify what waits, one at a time, until cancelled; run as many as are wanted."""
        while True:
            item = self.queue.pop(self.verifying)
            if item is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            path = item.checkpoint.path
            self.verifying[path] = (item, time.monotonic())
            self.dirty.set()
            try:
                await self._verify(item)
            except LedgerError as error:
                log.error("ledger cannot be written", error=str(error))
                self._later(item, _RETRY_SECONDS)
            except Exception:
                log.exception("verification failed, this is our own fault", path=path)
                self._later(item, _RETRY_SECONDS)
            finally:
                self.verifying.pop(path, None)
                self._wake.set()
                self.dirty.set()

    async def _verify(self, item: Item) -> None:
        checkpoint = item.checkpoint
        watch = self.watches.get(checkpoint.watch)
        if watch is None:
            return
        last = await self._ledger(
            Ledger.last_valid, checkpoint.watch, checkpoint.series, checkpoint.path
        )
        previous = (
            Previous(last.checkpoint.path, last.report.facts, last.step)
            if last and last.report
            else None
        )
        request = Request(checkpoint, item.generation, self.settings(checkpoint.watch), previous)
        answer = await self.dispatcher.verify(request)
        if answer.report is not None:
            await self._finish(answer.report, item)
        else:
            await self._without_verdict(item, answer, watch[1])

    async def _without_verdict(self, item: Item, answer: Answer, watcher: Watcher) -> None:
        """Note why a generation got no verdict, unless a newer one lies at its path already."""
        checkpoint = item.checkpoint
        if answer.end is End.SUPERSEDED:
            self._metrics.superseded(checkpoint.watch)
        noted = await self._ledger(
            Ledger.amended, checkpoint, item.generation, _STATES[answer.end], answer.message
        )
        if noted is None:
            self._look_again(item, watcher)
            return
        if answer.end is End.INCOMPLETE:
            watcher.incomplete(checkpoint.path, item.generation.key)
        elif answer.end is End.SUPERSEDED:
            self._again_in_a_while(checkpoint.path, watcher)
        log.info(
            str(answer.end),
            watch=checkpoint.watch,
            path=checkpoint.path,
            message=answer.message,
        )

    def _again_in_a_while(self, path: str, watcher: Watcher) -> None:
        """Have a path told again; one that never holds still for long is asked less and less."""
        times = self._superseded[path] = self._superseded.get(path, 0) + 1
        over = times - _SUPERSEDED_AT_ONCE
        seconds = 0.0 if over <= 0 else min(2.0**over, _SUPERSEDED_SECONDS)
        asyncio.get_running_loop().call_later(seconds, watcher.again, path)

    def _look_again(self, item: Item, watcher: Watcher) -> None:
        """What was verified does not lie there any more: whatever does is waiting, or told anew."""
        path, watch = item.checkpoint.path, item.checkpoint.watch
        log.info("superseded", watch=watch, path=path)
        if not self.queue.holds(watch, path):
            watcher.again(path)

    async def _finish(self, report: Report, item: Item | None = None) -> None:
        """Keep a report, unless what it speaks of has been written over or deleted meanwhile."""
        checkpoint = report.checkpoint
        if item is None:
            await self._ledger(Ledger.reported, report)
        elif await self._ledger(Ledger.concluded, report) is None:
            self._metrics.superseded(checkpoint.watch)
            if (watched := self.watches.get(checkpoint.watch)) is not None:
                self._look_again(item, watched[1])
            return
        self._superseded.pop(checkpoint.path, None)
        self._metrics.reported(report)
        tell = log.info if report.verdict is Verdict.VALID else log.warning
        tell(
            str(report.verdict),
            watch=checkpoint.watch,
            path=checkpoint.path,
            format=str(report.facts.format),
            step=checkpoint.step,
            shown=",".join(report.shown),
            seconds=round(report.duration_seconds, 3),
            **({"reason": report.reason, "message": report.message} if report.reason else {}),
        )
        if item is not None and report.reason.endswith(_TRANSIENT) and item.attempt < _RETRY_LIMIT:
            self._later(item, _RETRY_SECONDS * 2 ** (item.attempt - 1))
        self._on_change(checkpoint.watch)
        known = self.watches.get(checkpoint.watch)
        if known and known[0].hooks.on_verdict:
            self._spawn(hook.tell(known[0].hooks.on_verdict, report))

    def _later(self, item: Item, seconds: float) -> None:
        again = Item(item.checkpoint, item.generation, item.since, item.attempt + 1)

        async def wait() -> None:
            await asyncio.sleep(seconds)
            entry = await self._ledger(Ledger.entry, item.checkpoint.path)
            present = entry is not None and entry.state not in ABSENT
            if entry is not None and present and entry.generation.key == item.generation.key:
                self.enqueue(again)

        self._spawn(wait())

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a side task failed", error=f"{type(error).__name__}: {error}")

    async def close(self) -> None:
        """Cancel what was started beside the loops."""
        for task in list(self._tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def _is_outdated(report: Report, digest: str) -> bool:
    if report.reason.endswith(_TRANSIENT):
        return True
    if report.verdict is Verdict.VALID and "loads" in report.shown:
        return False
    return report.settings_digest != digest


def _torn(event: Sighting, settings: VerifySettings) -> Report:
    """The report of a save that was never finished: nothing of it was read by a child."""
    reason = event.reason or "structure.truncated"
    first = CheckResult("structure", Outcome.FAIL, reason, event.message)
    scan = not_run(SCAN, "structure", [first])
    checks = (first, *scan, *not_run(LOAD, "structure", ()))
    return Report(
        checkpoint=event.checkpoint,
        generation=event.generation,
        verdict=Verdict.INVALID,
        reason=reason,
        message=event.message,
        shown=(),
        checks=checks,
        facts=Facts(format=event.checkpoint.format),
        duration_seconds=0.0,
        settings_digest=settings.digest,
        finished_at=time.time(),
    )
