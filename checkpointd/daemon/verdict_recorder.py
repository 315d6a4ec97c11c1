"""Records outcomes of verifications: in the ledger, the metrics and the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from checkpointd.core.request import End
from checkpointd.core.verdict import Verdict
from checkpointd.daemon.retry_scheduler import is_transient
from checkpointd.ledger import Ledger, State

if TYPE_CHECKING:
    from checkpointd.core.report import Report
    from checkpointd.core.request import Answer
    from checkpointd.daemon.fair_queue import Item
    from checkpointd.daemon.threads import LedgerThread
    from checkpointd.observe.metrics import Metrics

_STATES = {
    End.INCOMPLETE: State.WRITING,
    End.SUPERSEDED: State.SUPERSEDED,
    End.UNKNOWN: State.UNKNOWN,
}

log = structlog.get_logger()


class VerdictRecorder:
    """Records outcomes; every method raises LedgerError if the ledger cannot be written.

    Args:
        ledger: where outcomes are kept.
        metrics: counts them.
    """

    def __init__(self, ledger: LedgerThread, metrics: Metrics) -> None:
        self._ledger = ledger
        self._metrics = metrics

    async def pending(self, item: Item, listing: int = 0) -> None:
        """Record that a generation, found in a listing, has no verdict yet."""
        await self._ledger(
            Ledger.record_seen, item.checkpoint, item.generation, State.PENDING, "", listing
        )

    async def observed(self, report: Report, listing: int = 0) -> None:
        """Record a report about what is at its path now; its verdict becomes the state."""
        await self._ledger(Ledger.record_report, report, listing)
        self._publish(report)

    async def verified(self, report: Report) -> bool:
        """Record the report of a verification.

        Returns:
            Whether its generation is still at its path. A report about one that was overwritten
            or deleted meanwhile is kept as history.
        """
        is_current = await self._ledger(Ledger.record_report_if_current, report) is not None
        self._publish(report, **({} if is_current else {"overwritten": True}))
        return is_current

    def _publish(self, report: Report, **more: bool) -> None:
        checkpoint = report.checkpoint
        self._metrics.reported(report)
        is_retried = report.verdict is Verdict.INCONCLUSIVE and is_transient(report)
        needs_nobody = report.verdict is Verdict.VALID or is_retried
        write = log.info if needs_nobody else log.warning
        write(
            str(report.verdict),
            watch=checkpoint.watch,
            path=checkpoint.path,
            format=str(report.facts.format),
            step=checkpoint.step,
            shown=",".join(report.shown),
            seconds=round(report.duration_seconds, 3),
            **({"reason": report.reason, "message": report.message} if report.reason else {}),
            **more,
        )

    async def no_verdict(self, item: Item, answer: Answer) -> bool:
        """Record why a generation got no verdict.

        Returns:
            Whether it is still at its path; if not, nothing is recorded.
        """
        checkpoint = item.checkpoint
        if answer.end is End.SUPERSEDED:
            self._metrics.superseded(checkpoint.watch)
        noted = await self._ledger(
            Ledger.record_state_if_current,
            checkpoint,
            item.generation,
            _STATES[answer.end],
            answer.message,
        )
        if noted is None:
            return False
        log.info(
            str(answer.end),
            watch=checkpoint.watch,
            path=checkpoint.path,
            message=answer.message,
        )
        return True

    async def unchanged(self, item: Item) -> None:
        """Record that a comparison or a scrub found the content that has the verdict."""
        watch, path = item.checkpoint.watch, item.checkpoint.path
        if item.scrub:
            await self._ledger(Ledger.record_scrub, path, item.generation)
            self._metrics.scrubbed(watch)
            log.debug("scrubbed, unchanged", watch=watch, path=path)
        else:
            await self._ledger(Ledger.carry_verdict_over, path, item.generation)
            log.info("the same content", watch=watch, path=path)
