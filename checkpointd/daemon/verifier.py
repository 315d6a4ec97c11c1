"""From what waits to what is known of it: each item is verified, and its outcome written down."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from checkpointd.core.request import Answer, End, Previous, Request
from checkpointd.core.suite import CHECKS, INTACT_CHECKS
from checkpointd.core.verdict import Verdict
from checkpointd.core.verify_settings import MAX
from checkpointd.daemon import hooks
from checkpointd.daemon.retry_scheduler import RETRY_SECONDS, is_transient, patience
from checkpointd.daemon.structure_failure import NOT_A_CHECKPOINT, unread, was_checkpoint
from checkpointd.ledger import Ledger, LedgerError, State

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.core.report import Report
    from checkpointd.core.verify_settings import VerifySettings
    from checkpointd.daemon.event_handler import Engine
    from checkpointd.daemon.queue import Item
    from checkpointd.daemon.threads import LedgerThread
    from checkpointd.observe.metrics import Metrics
    from checkpointd.watch.watcher import Watcher

_STATES = {
    End.INCOMPLETE: State.WRITING,
    End.SUPERSEDED: State.SUPERSEDED,
    End.UNKNOWN: State.UNKNOWN,
}
_SUPERSEDED_AT_ONCE = 3
_SUPERSEDED_SECONDS = 300.0
_NO_DIGEST = tuple(name for name in CHECKS if name not in INTACT_CHECKS)

log = structlog.get_logger()


class Verifications:
    """Takes items from the engine's queues; everything runs in one event loop.

    `running` is what is being verified, by path, and since when (monotonic seconds).

    Args:
        engine: whose queues are served.
        ledger: where everything is kept.
        metrics: who is told for Prometheus.
        on_change: called with a watch's name when retention should look at it again.
    """

    def __init__(
        self,
        engine: Engine,
        ledger: LedgerThread,
        metrics: Metrics,
        on_change: Callable[[str], None],
    ) -> None:
        self.running: dict[str, tuple[Item, float]] = {}
        self._engine = engine
        self._ledger = ledger
        self._metrics = metrics
        self._on_change = on_change
        self._tasks: dict[str, asyncio.Task[Answer]] = {}
        self._superseded: dict[str, int] = {}

    async def run(self) -> None:
        """Verify what waits, one at a time, until cancelled; run as many as are wanted."""
        engine = self._engine
        while True:
            item = engine.queue.pop(self.running, engine.hung) or engine.background.pop(
                self.running, engine.hung
            )
            if item is None:
                engine.wake.clear()
                await engine.wake.wait()
                continue
            path = item.checkpoint.path
            self.running[path] = (item, time.monotonic())
            engine.dirty.set()
            try:
                await self._take(item)
            except LedgerError as error:
                log.error("ledger cannot be written", error=str(error))
                engine.again.later(item, RETRY_SECONDS)
            except Exception:
                log.exception("verification failed, this is our own fault", path=path)
                engine.again.later(item, RETRY_SECONDS)
            finally:
                self.running.pop(path, None)
                engine.touched(item.checkpoint.watch)
                engine.wake.set()
                engine.dirty.set()

    def leave(self, watches: set[str]) -> None:
        """Verify nothing more of these watches for now: their disk does not answer."""
        for path, (item, _) in self.running.items():
            if item.checkpoint.watch in watches and path in self._tasks:
                self._tasks[path].cancel()

    def forget(self, path: str) -> None:
        """Forget how often a path was written over while it was read."""
        self._superseded.pop(path, None)

    async def _take(self, item: Item) -> None:
        watched = self._engine.watches.get(item.checkpoint.watch)
        if watched is None:
            return
        if item.compare:
            await self._compare(item, watched[1])
        else:
            await self._verify(item, watched[1])

    async def _dispatch(self, item: Item, request: Request) -> Answer | None:
        """Have a request answered; None, and it waits again, if the disk stops to answer."""
        path = request.checkpoint.path
        task = asyncio.ensure_future(self._engine.dispatcher.verify(request))
        self._tasks[path] = task
        try:
            return await task
        except asyncio.CancelledError:
            own = asyncio.current_task()
            if own is not None and own.cancelling():
                raise
            log.warning("left, the disk does not answer", path=path)
            queue = self._engine.background if item.compare else self._engine.queue
            queue.push(item)
            return None
        finally:
            del self._tasks[path]

    async def _compare(self, item: Item, watcher: Watcher) -> None:
        """Let a verdict stand if the content still has the digest of its report."""
        checkpoint = item.checkpoint
        asked = self._engine.settings(checkpoint.watch)
        settings = replace(asked, skip=_NO_DIGEST, checks=())
        digest = item.compare if item.scrub else ""
        request = Request(checkpoint, item.generation, settings, overdue=True, digest=digest)
        answer = await self._dispatch(item, request)
        if answer is None:
            return
        report = answer.report
        if answer.end is End.SUPERSEDED:
            watcher.report_again(checkpoint.path)
        elif report is not None and report.facts.digest == item.compare:
            await self._same_content(item)
        elif item.scrub and report is not None and report.reason == "integrity.bit_rot":
            await self.finish(report, item)
        else:
            log.info("other content", watch=checkpoint.watch, path=checkpoint.path)
            await self._engine.verify(replace(item, compare="", replaced=not item.scrub))

    async def _same_content(self, item: Item) -> None:
        watch, path = item.checkpoint.watch, item.checkpoint.path
        if item.scrub:
            await self._ledger(Ledger.scrubbed, path, item.generation)
            self._metrics.scrubbed(watch)
            log.debug("read again, as it was", watch=watch, path=path)
        else:
            await self._ledger(Ledger.carried_over, path, item.generation)
            log.info("the same content", watch=watch, path=path)
            self._on_change(watch)

    async def _verify(self, item: Item, watcher: Watcher) -> None:
        checkpoint = item.checkpoint
        last = await self._ledger(
            Ledger.last_valid, checkpoint.watch, checkpoint.series, checkpoint.path
        )
        previous = (
            Previous(last.checkpoint.path, last.report.facts, last.step)
            if last and last.report
            else None
        )
        settings = self._engine.settings(checkpoint.watch)
        digest = ""
        if not item.replaced:
            digest = await self._ledger(Ledger.digest_of, checkpoint.path, item.generation)
        request = Request(
            checkpoint,
            item.generation,
            settings,
            previous,
            best=await self._best(item, settings),
            overdue=item.overdue,
            digest=digest,
            copied=self._superseded.get(checkpoint.path, 0) >= _SUPERSEDED_AT_ONCE,
        )
        answer = await self._dispatch(item, request)
        if answer is None:
            return
        answer = await self._judged_by_its_past(answer, item)
        if answer.report is not None:
            await self.finish(answer.report, item)
        else:
            await self._without_verdict(item, answer, watcher)

    async def _judged_by_its_past(self, answer: Answer, item: Item) -> Answer:
        """Where a checkpoint lay before, something else is no silence: it is waited for, or bad."""
        if answer.end is not End.UNKNOWN:
            return answer
        checkpoint = item.checkpoint
        if not was_checkpoint(await self._ledger(Ledger.history, checkpoint.path)):
            return answer
        message = f"A checkpoint lay here before, and something else does now: {answer.message}"
        if not item.overdue:
            return Answer(End.INCOMPLETE, message)
        settings = self._engine.settings(checkpoint.watch)
        report = unread(checkpoint, item.generation, settings, NOT_A_CHECKPOINT, message)
        return Answer(End.DONE, report=report)

    async def _best(self, item: Item, settings: VerifySettings) -> dict[str, float]:
        """The best of the series so far, of each metric that is bounded by it."""
        modes = {n: b.mode for n, b in settings.bounds.items() if b.within_of_best is not None}
        if not modes:
            return {}
        extremes = await self._ledger(
            Ledger.extremes, item.checkpoint, item.generation, settings.evaluate.digest
        )
        return {n: extremes[n][modes[n] == MAX] for n in modes if n in extremes}

    async def _without_verdict(self, item: Item, answer: Answer, watcher: Watcher) -> None:
        """Note why a generation got no verdict, unless a newer one lies at its path already."""
        checkpoint = item.checkpoint
        if answer.end is End.SUPERSEDED:
            self._metrics.superseded(checkpoint.watch)
            self._superseded[checkpoint.path] = self._superseded.get(checkpoint.path, 0) + 1
        noted = await self._ledger(
            Ledger.amended, checkpoint, item.generation, _STATES[answer.end], answer.message
        )
        if noted is None:
            self._look_again(item, watcher)
            return
        if answer.end is End.INCOMPLETE:
            watcher.mark_incomplete(checkpoint.path, item.generation.key)
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
        over = self._superseded[path] - _SUPERSEDED_AT_ONCE
        seconds = 0.0 if over <= 0 else min(2.0**over, _SUPERSEDED_SECONDS)
        asyncio.get_running_loop().call_later(seconds, watcher.report_again, path)

    def _look_again(self, item: Item, watcher: Watcher) -> None:
        """What was verified does not lie there any more: whatever does is waiting, or told anew."""
        path, watch = item.checkpoint.path, item.checkpoint.watch
        log.info("superseded", watch=watch, path=path)
        if not self._engine.queue.holds(watch, path):
            watcher.report_again(path)

    async def finish(self, report: Report, item: Item | None = None) -> None:
        """Keep a report; of what has been written over or deleted meanwhile as history."""
        checkpoint = report.checkpoint
        watched = self._engine.watches.get(checkpoint.watch)
        if item is None:
            await self._ledger(Ledger.reported, report)
            overwritten = False
        else:
            overwritten = await self._ledger(Ledger.concluded, report) is None
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
            **({"overwritten": True} if overwritten else {}),
        )
        if item is not None and overwritten:
            if watched is not None:
                self._look_again(item, watched[1])
        else:
            self._superseded.pop(checkpoint.path, None)
        if item is not None and is_transient(report) and not overwritten:
            self._engine.again.later(item, patience(item.attempt))
        self._on_change(checkpoint.watch)
        if watched is not None and watched[0].hooks.on_verdict:
            self._engine.spawn(hooks.tell(watched[0].hooks.on_verdict, report))
