"""What the web server and the control socket may read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.daemon.checkpoint_detail import checkpoint_detail
from checkpointd.ledger import Ledger, State
from checkpointd.ledger.public import public_entry
from checkpointd.observe.series_detail import MAX_POINTS, SeriesDetail, SeriesPoint

if TYPE_CHECKING:
    from checkpointd.daemon.status_builder import StatusBuilder
    from checkpointd.daemon.threads import LedgerThread
    from checkpointd.observe.series_status import SeriesStatus
    from checkpointd.observe.status import DaemonStatus

_ANSWER_LIMIT = 10_000


class ApiSource:
    """Implements `checkpointd.observe.sources.StatusSource`.

    Args:
        builder: builds the status.
        ledger: holds the checkpoints.
    """

    def __init__(self, builder: StatusBuilder, ledger: LedgerThread) -> None:
        self._builder = builder
        self._ledger = ledger

    def status(self) -> DaemonStatus:
        """The daemon's status, from memory."""
        return self._builder.build()

    def series(self, watch: str | None = None) -> tuple[SeriesStatus, ...]:
        """The series at a glance, from memory."""
        return self._builder.series(watch)

    async def series_detail(self, identity: str) -> SeriesDetail | None:
        """One series, and its last saves that have a verdict."""
        status = next((one for one in self.series() if one.id == identity), None)
        if status is None:
            return None
        reports = await self._ledger(
            Ledger.series_reports, status.watch, status.series, limit=MAX_POINTS
        )
        points = tuple(SeriesPoint.of(number, report) for number, report in reversed(reports))
        return SeriesDetail(status, points)

    async def checkpoints(
        self, *, watch: str | None, series: str | None, state: str | None, limit: int
    ) -> list[dict[str, Any]]:
        """Checkpoints newest first."""
        states = [State(state)] if state in set(State) else None
        entries = await self._ledger(
            Ledger.entries,
            watch=watch,
            series=series,
            states=states,
            limit=min(limit, _ANSWER_LIMIT),
        )
        return [public_entry(entry) for entry in entries]

    async def checkpoint(self, identity: int) -> dict[str, Any] | None:
        """One checkpoint with its report."""
        entry = await self._ledger(Ledger.by_id, identity)
        if entry is None:
            return None
        neighbours = await self._ledger(Ledger.neighbours, entry)
        replica = await self._ledger(Ledger.replica, entry.path)
        return checkpoint_detail(entry, *neighbours, replica)
