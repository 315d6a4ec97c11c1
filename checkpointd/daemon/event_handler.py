"""What the watches saw goes into the ledger and the work queue."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import TYPE_CHECKING

import structlog

from checkpointd.daemon.fair_queue import Item
from checkpointd.daemon.retry_scheduler import RETRY_SECONDS
from checkpointd.daemon.structure_failure import structure_failure
from checkpointd.ledger import Change, ChangeKind, Ledger, LedgerError, State
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

    from checkpointd.core.verify_settings import VerifySettings
    from checkpointd.daemon.changes import ChangeFeed
    from checkpointd.daemon.event_inbox import EventInbox
    from checkpointd.daemon.threads import LedgerThread
    from checkpointd.daemon.verifier import Verifier
    from checkpointd.daemon.watches import Watches
    from checkpointd.daemon.work_queue import WorkQueue
    from checkpointd.observe.metrics import Metrics

_WRITE_AGAIN_SECONDS = 5.0
_EVENT_ATTEMPTS = 3

log = structlog.get_logger()


class EventHandler:
    """Handles the watches' events one after the other; everything runs in one event loop.

    `ledger_error` is why the ledger cannot be written, empty while it can.

    Args:
        inbox: the events.
        watches: the watches that run; events of others are dropped.
        ledger: where what was seen is kept.
        work: takes what is to be verified.
        verifier: verifies, and records what needs no verification to get a verdict.
        metrics: counts events.
        feed: passes on that a watch came up or went down.
        warm: starts the interpreter that settings need, while a save is still being written.
    """

    def __init__(
        self,
        inbox: EventInbox,
        watches: Watches,
        ledger: LedgerThread,
        work: WorkQueue,
        verifier: Verifier,
        metrics: Metrics,
        feed: ChangeFeed,
        warm: Callable[[VerifySettings], None],
    ) -> None:
        self.ledger_error = ""
        self._inbox = inbox
        self._watches = watches
        self._ledger = ledger
        self._work = work
        self._verifier = verifier
        self._metrics = metrics
        self._feed = feed
        self._warm = warm

    async def run(self) -> None:
        """Handle events until cancelled; nothing is lost while the ledger cannot be written."""
        while True:
            event = await self._inbox.next()
            for attempt in itertools.count(1):
                try:
                    await self._handle(event)
                    self.ledger_error = ""
                    break
                except LedgerError as error:
                    self.ledger_error = str(error)
                    log.error("ledger cannot be written", error=str(error))
                    if attempt >= _EVENT_ATTEMPTS and await self._is_writable():
                        self._skip(event)
                        break
                    await asyncio.sleep(_WRITE_AGAIN_SECONDS)
            self._inbox.done()

    async def _is_writable(self) -> bool:
        """Whether the ledger accepts other writes: then this event itself is the problem."""
        try:
            await self._ledger(Ledger.check_writable)
        except LedgerError:
            return False
        return True

    def _skip(self, event: WatchEvent) -> None:
        """Go on without an event, and have its path reported again later."""
        path = event.checkpoint.path if isinstance(event, GenerationUpdate) else ""
        log.error("event skipped, the ledger does not take it", watch=event.watch, path=path)
        watch = self._watches.get(event.watch)
        if watch is not None and path:
            asyncio.get_running_loop().call_later(RETRY_SECONDS, watch.watcher.report_again, path)

    async def _handle(self, event: WatchEvent) -> None:
        if event.watch not in self._watches:
            return
        if isinstance(event, GenerationUpdate):
            await self._generation_updated(event)
        elif isinstance(event, Gone):
            self._work.drop(event.watch, event.path)
            self._verifier.forget(event.path)
            await self._ledger(Ledger.record_gone, event.path)
            log.info("gone", watch=event.watch, path=event.path)
        elif isinstance(event, MetadataChanged):
            await self._metadata_changed(event)
        elif isinstance(event, SeriesChanged):
            await self._series_changed(event)
        elif isinstance(event, Coalesced):
            self._metrics.coalesced(event.watch)
        elif isinstance(event, Reconciled):
            self._metrics.reconciled(event.watch, event.seconds, event.at)
            self._note_labelled(event)
        elif isinstance(event, WatchHealth):
            write = log.info if event.up else log.warning
            reason = {"message": event.message} if event.message else {}
            write("watch is up" if event.up else "watch is down", watch=event.watch, **reason)
            self._feed.emit([Change(ChangeKind.AVAILABILITY, event.watch)])

    def _note_labelled(self, event: Reconciled) -> None:
        """Note that every change of series that a watch's first scan found has been recorded."""
        watch = self._watches[event.watch]
        is_its_own = event.at == watch.watcher.status().last_reconcile_at  # not of before a reload
        if is_its_own and not watch.labelled.is_set():
            watch.labelled.set()
            self._feed.emit([Change(ChangeKind.AVAILABILITY, event.watch)])

    async def _generation_updated(self, event: GenerationUpdate) -> None:
        path = event.checkpoint.path
        known = await self._ledger(Ledger.entry, path)
        if known is None or known.state is State.GONE:
            self._metrics.discovered(event.watch, str(event.checkpoint.format))
        if event.state == "writing":
            self._warm(self._watches.verify_settings(event.watch))
            await self._ledger(
                Ledger.record_seen,
                event.checkpoint,
                event.generation,
                State.WRITING,
                event.message,
                event.listing,
            )
            if known is None or known.state is not State.WRITING:
                log.info("writing", watch=event.watch, path=path, message=event.message)
        elif event.state == "torn":
            settings = self._watches.verify_settings(event.watch)
            reason = event.reason or "structure.truncated"
            await self._verifier.record(
                structure_failure(
                    event.checkpoint, event.generation, settings, reason, event.message
                ),
                event.listing,
            )
        else:
            await self._verifier.request(
                Item(
                    event.checkpoint,
                    event.generation,
                    time.time(),
                    overdue=event.overdue,
                    idle=event.idle,
                ),
                event.listing,
            )

    async def _metadata_changed(self, event: MetadataChanged) -> None:
        """Have the content compared with the digest of its verdict, or verified if it has none."""
        entry = await self._ledger(Ledger.entry, event.path)
        if entry is None or entry.generation.key != event.generation.key:
            return
        report = entry.whole_report
        digest = report.facts.digest if report else ""
        item = Item(entry.checkpoint, event.generation, time.time(), compare=digest)
        if digest:
            self._work.push_background(item)
        elif entry.state is not State.UNKNOWN:
            await self._verifier.request(item)

    async def _series_changed(self, event: SeriesChanged) -> None:
        entry = await self._ledger(Ledger.record_placement, event.checkpoint)
        if entry is not None:
            checkpoint = entry.checkpoint
            log.info("placed", watch=event.watch, path=checkpoint.path, series=checkpoint.series)
