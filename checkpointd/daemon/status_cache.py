"""What the status and the metrics show of the ledger, kept in memory.

So a hung disk or a slow ledger never stops a scrape. Counts follow each change at once; the rest
is read from the ledger a moment later.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from checkpointd.ledger import ChangeKind, Ledger, LedgerError, SeriesSummary, State
from checkpointd.observe.save_interval import save_interval
from checkpointd.observe.snapshot import SeriesSnapshot
from checkpointd.observe.status import VerdictStatus

if TYPE_CHECKING:
    from collections.abc import Collection

    from checkpointd.daemon.threads import LedgerThread
    from checkpointd.ledger import Change

CHANGES = frozenset(ChangeKind) - {ChangeKind.AVAILABILITY, ChangeKind.REPLICATED}
"""The kinds of change that `StatusCache` is to be called with."""

_REFRESH_SECONDS = 5.0
_PAUSE_SECONDS = 0.1
_PAUSE_SHARE = 10.0
_VERDICTS = 8


@dataclass
class _WatchSeries:
    """The series of one watch, and the bytes that their checkpoints occupy."""

    series: dict[str, SeriesSummary] = field(default_factory=dict)
    retained_bytes: int = 0

    def update(self, summary: SeriesSummary) -> None:
        """Replace what was known of a series."""
        before = self.series.get(summary.series)
        self.retained_bytes += summary.retained_bytes - (before.retained_bytes if before else 0)
        self.series[summary.series] = summary


@dataclass(frozen=True)
class _Read:
    """What one reading of the ledger came to; `is_whole` if it covers every series."""

    is_whole: bool
    counts: dict[str, dict[State, int]]
    series: list[SeriesSummary]
    last_verdicts: tuple[VerdictStatus, ...]


class StatusCache:
    """Counts, series and verdicts.

    Args:
        ledger: where they are read.
    """

    def __init__(self, ledger: LedgerThread) -> None:
        self.last_verdicts: tuple[VerdictStatus, ...] = ()
        self.attention: tuple[VerdictStatus, ...] = ()
        self._ledger = ledger
        self._counts: dict[str, dict[State, int]] = {}
        self._watches: dict[str, _WatchSeries] = {}
        self._outdated: set[tuple[str, str]] = set()
        self._changed = asyncio.Event()
        self._is_whole = True

    def counts(self, watch: str) -> dict[str, int]:
        """How many checkpoints of a watch are in each state but `gone`."""
        return {str(state): n for state, n in sorted(self._counts.get(watch, {}).items()) if n}

    def retained_bytes(self, watch: str) -> int:
        """What the checkpoints of a watch occupy."""
        return self._watches[watch].retained_bytes if watch in self._watches else 0

    def series(self, watch: str) -> tuple[SeriesSnapshot, ...]:
        """The series of a watch, for the metrics."""
        known = self._watches.get(watch, _WatchSeries())
        return tuple(_snapshot(summary) for summary in known.series.values())

    def summaries(self, watch: str) -> tuple[SeriesSummary, ...]:
        """The series of a watch at a glance, for the status."""
        return tuple(self._watches.get(watch, _WatchSeries()).series.values())

    def on_change(self, change: Change) -> None:
        """Count a change at once, and read its series again soon."""
        counts = self._counts.setdefault(change.watch, {})
        for state, step in ((change.before, -1), (change.after, 1)):
            if state is not None and state is not State.GONE:
                counts[state] = counts.get(state, 0) + step
        self._outdated.add((change.watch, change.series))
        self._changed.set()

    async def keep_fresh(self) -> None:
        """Read what has changed, until cancelled; at most a small part of the time."""
        while True:
            self._changed.clear()
            began = time.monotonic()
            with contextlib.suppress(LedgerError):  # read again, and logged elsewhere
                await self.refresh()
            seconds = time.monotonic() - began
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_REFRESH_SECONDS):
                    await self._changed.wait()
            await asyncio.sleep(max(_PAUSE_SECONDS, _PAUSE_SHARE * seconds))

    async def refresh(self) -> None:
        """Read the ledger once: every series at first, then those that have changed since.

        Raises:
            LedgerError: it cannot be read.
        """
        outdated, self._outdated = self._outdated, set()
        is_whole, self._is_whole = self._is_whole, False
        try:
            if is_whole or outdated:
                await self._ledger(self._read_ledger, None if is_whole else outdated)
        except BaseException:
            self._is_whole = True
            raise

    def _read_ledger(self, ledger: Ledger, only: Collection[tuple[str, str]] | None) -> None:
        """Read in the ledger's thread, and hand over before any later change is counted."""
        read = _Read(
            only is None,
            ledger.counts(),
            ledger.series(only),
            tuple(map(VerdictStatus.of, ledger.last_reported(_VERDICTS))),
        )
        self._ledger.in_loop(self._use, read)

    def _use(self, read: _Read) -> None:
        self._counts = read.counts
        self.last_verdicts = read.last_verdicts
        if read.is_whole:
            self._watches = {}
        for summary in read.series:
            self._watches.setdefault(summary.watch, _WatchSeries()).update(summary)
        known = (summary for watch in self._watches.values() for summary in watch.series.values())
        bad = [found for summary in known if (found := _not_valid(summary)) is not None]
        bad.sort(key=lambda verdict: (verdict.verdict != State.INVALID, -verdict.at))
        self.attention = tuple(bad[:_VERDICTS])


def _not_valid(summary: SeriesSummary) -> VerdictStatus | None:
    """The newest verdict of a series if it is not valid; else None."""
    newest = summary.newest_verified
    if newest is None or newest.state is State.VALID:
        return None
    return VerdictStatus(
        id=newest.id,
        path=newest.path,
        watch=summary.watch,
        verdict=str(newest.state),
        reason=newest.reason,
        message=newest.message,
        at=newest.verified_at or 0.0,
    )


def _snapshot(summary: SeriesSummary) -> SeriesSnapshot:
    facts, newest, valid = summary.facts, summary.newest, summary.newest_valid
    return SeriesSnapshot(
        series=summary.series,
        last_seen=summary.last_seen,
        last_valid=summary.last_valid,
        last_valid_step=summary.last_valid_step,
        predictions_max_abs_difference=facts.predictions_max_abs_difference if facts else None,
        weight_norm=facts.weight_norm if facts else None,
        weight_change_ratio=facts.weight_change_ratio if facts else None,
        non_finite_values=facts.non_finite_values if facts else None,
        evaluation=summary.metrics,
        newest_state=str(newest.state) if newest else "",
        newest_timestamp_seconds=newest.saved_at if newest else None,
        newest_valid_timestamp_seconds=valid.saved_at if valid else None,
        newest_valid_verified_timestamp_seconds=valid.verified_at if valid else None,
        newest_valid_step=valid.step if valid else None,
        save_interval_seconds=save_interval(summary.saves),
    )
