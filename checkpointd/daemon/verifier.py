"""Verifies queued items, and decides what happens next by the outcome."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from checkpointd.core.request import Answer, End
from checkpointd.daemon.retry_scheduler import RETRY_SECONDS, is_transient, retry_delay
from checkpointd.daemon.staging import StagingError
from checkpointd.daemon.structure_failure import NOT_A_CHECKPOINT, structure_failure
from checkpointd.ledger import LedgerError

if TYPE_CHECKING:
    from checkpointd.core.report import Report
    from checkpointd.core.request import Request
    from checkpointd.daemon.duty_cycle import DutyCycle
    from checkpointd.daemon.fair_queue import Item
    from checkpointd.daemon.request_builder import RequestBuilder
    from checkpointd.daemon.retry_scheduler import RetryScheduler
    from checkpointd.daemon.verdict_recorder import VerdictRecorder
    from checkpointd.daemon.watches import Watches
    from checkpointd.daemon.work_queue import WorkQueue
    from checkpointd.dispatch import Dispatcher
    from checkpointd.watch.any_watcher import AnyWatcher

_SUPERSEDED_AT_ONCE = 3
_SUPERSEDED_SECONDS = 300.0
_STAGED_SOONER = 4
"""A bucket that could not be read is tried again after a quarter of the usual delays."""

log = structlog.get_logger()


class Verifier:
    """Verifies items of the work queue; everything runs in one event loop.

    Args:
        work: the queue.
        watches: the watches that run; what belongs to no other is left out.
        requests: makes the request of each item.
        dispatcher: answers requests.
        recorder: records outcomes.
        retries: retries what failed for transient reasons.
        duty_cycle: lets workers rest after each verification.
    """

    def __init__(
        self,
        work: WorkQueue,
        watches: Watches,
        requests: RequestBuilder,
        dispatcher: Dispatcher,
        recorder: VerdictRecorder,
        retries: RetryScheduler,
        duty_cycle: DutyCycle,
    ) -> None:
        self._work = work
        self._watches = watches
        self._requests = requests
        self._dispatcher = dispatcher
        self._recorder = recorder
        self._retries = retries
        self._duty_cycle = duty_cycle
        self._tasks: dict[str, asyncio.Task[Answer]] = {}
        self._superseded: dict[str, int] = {}

    async def run(self) -> None:
        """Verify what waits, one item at a time, until cancelled; run as many as may work."""
        while True:
            item = await self._work.take()
            began = time.monotonic()
            path = item.checkpoint.path
            try:
                await self._process(item)
            except LedgerError as error:
                log.error("ledger cannot be written", error=str(error))
                self._retries.schedule(item, RETRY_SECONDS)
            except StagingError as error:
                log.warning("not verified yet", path=path, message=str(error))
                self._retries.schedule(item, retry_delay(item.attempt) / _STAGED_SOONER)
            except Exception:
                log.exception("verification failed because of a bug in checkpointd", path=path)
                self._retries.schedule(item, RETRY_SECONDS)
            finally:
                self._work.done(item)
            await self._duty_cycle.rest(time.monotonic() - began)

    async def request(self, item: Item, listing: int = 0) -> None:
        """Record that a generation has no verdict yet, and have it verified.

        Args:
            item: what to verify.
            listing: the listing that found it; 0 if it was known before.

        Raises:
            LedgerError: the ledger cannot be written.
        """
        await self._recorder.pending(item, listing)
        self._work.push(item)

    async def record(self, report: Report, listing: int = 0) -> None:
        """Record a verdict that needed no verification.

        Args:
            report: the verdict.
            listing: the listing that found the content; 0 if it was known before.

        Raises:
            LedgerError: the ledger cannot be written.
        """
        await self._recorder.observed(report, listing)
        self.forget(report.checkpoint.path)

    async def digest(self, item: Item) -> str:
        """Return the digest of a checkpoint's content, which nothing is recorded of.

        Returns:
            Empty if it cannot be read.
        """
        answer = await self._dispatcher.verify(self._requests.comparison(item))
        return answer.report.facts.digest if answer.report is not None else ""

    def abandon(self, watches: frozenset[str]) -> None:
        """End the verifications of these watches, whose disk does not answer; they wait again."""
        for path, running in self._work.running.items():
            if running.item.checkpoint.watch in watches and path in self._tasks:
                self._tasks[path].cancel()

    def forget(self, path: str) -> None:
        """Forget how often a path was overwritten while it was read."""
        self._superseded.pop(path, None)

    async def _process(self, item: Item) -> None:
        watch = self._watches.get(item.checkpoint.watch)
        if watch is None:
            return
        if item.compare:
            await self._compare(item, watch.watcher)
        else:
            await self._verify(item, watch.watcher)

    async def _dispatch(self, item: Item, request: Request) -> Answer | None:
        """Have a request answered; if its disk stops answering, queue the item again: None."""
        path = request.checkpoint.path
        task = asyncio.ensure_future(self._dispatcher.verify(request))
        self._tasks[path] = task
        try:
            return await task
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            log.info("verification abandoned, the disk does not answer", path=path)
            if item.compare:
                self._work.push_background(item)
            else:
                self._work.push(item)
            return None
        finally:
            del self._tasks[path]

    async def _compare(self, item: Item, watcher: AnyWatcher) -> None:
        """Keep a verdict if the content still has the digest of its report."""
        checkpoint = item.checkpoint
        answer = await self._dispatch(item, self._requests.comparison(item))
        if answer is None:
            return
        report = answer.report
        if answer.end is End.SUPERSEDED:
            watcher.report_again(checkpoint.path)
        elif report is not None and report.facts.digest == item.compare:
            await self._recorder.unchanged(item)
        elif item.scrub and report is not None and report.reason == "integrity.bit_rot":
            await self._finish(report, item, watcher)
        else:
            log.info("other content", watch=checkpoint.watch, path=checkpoint.path)
            await self.request(replace(item, compare="", replaced=not item.scrub))

    async def _verify(self, item: Item, watcher: AnyWatcher) -> None:
        changes_fast = self._superseded.get(item.checkpoint.path, 0) >= _SUPERSEDED_AT_ONCE
        request = await self._requests.verification(item, copied=changes_fast)
        answer = await self._dispatch(item, request)
        if answer is None:
            return
        answer = await self._given_history(answer, item)
        if answer.report is not None:
            await self._finish(answer.report, item, watcher)
        else:
            await self._without_verdict(item, answer, watcher)

    async def _given_history(self, answer: Answer, item: Item) -> Answer:
        """Call other content in place of a checkpoint incomplete at first, and then invalid."""
        if answer.end is not End.UNKNOWN:
            return answer
        checkpoint = item.checkpoint
        if not await self._requests.was_checkpoint(checkpoint.path):
            return answer
        message = f"A checkpoint was here before, and now there is something else: {answer.message}"
        if not item.overdue:
            return Answer(End.INCOMPLETE, message)
        settings = self._watches.verify_settings(checkpoint.watch)
        report = structure_failure(checkpoint, item.generation, settings, NOT_A_CHECKPOINT, message)
        return Answer(End.DONE, report=report)

    async def _finish(self, report: Report, item: Item, watcher: AnyWatcher) -> None:
        if not await self._recorder.verified(report):
            self._overwritten(item, watcher)
            return
        self.forget(report.checkpoint.path)
        if is_transient(report):
            self._retries.schedule(item, retry_delay(item.attempt))

    async def _without_verdict(self, item: Item, answer: Answer, watcher: AnyWatcher) -> None:
        path = item.checkpoint.path
        if answer.end is End.SUPERSEDED:
            self._superseded[path] = self._superseded.get(path, 0) + 1
        if not await self._recorder.no_verdict(item, answer):
            self._overwritten(item, watcher)
        elif answer.end is End.INCOMPLETE:
            watcher.mark_incomplete(path, item.generation.key)
        elif answer.end is End.SUPERSEDED:
            self._ask_watcher_later(path, watcher)

    def _ask_watcher_later(self, path: str, watcher: AnyWatcher) -> None:
        """Have a path reported again later; the longer, the more often it was overwritten."""
        over = self._superseded.get(path, 0) - _SUPERSEDED_AT_ONCE  # 0: it is gone meanwhile
        seconds = 0.0 if over <= 0 else min(2.0**over, _SUPERSEDED_SECONDS)
        asyncio.get_running_loop().call_later(seconds, watcher.report_again, path)

    def _overwritten(self, item: Item, watcher: AnyWatcher) -> None:
        """Have the new content verified: it is queued already, or its watcher reports it again."""
        path, watch = item.checkpoint.path, item.checkpoint.watch
        log.info("superseded", watch=watch, path=path)
        if not self._work.is_waiting(watch, path):
            watcher.report_again(path)
