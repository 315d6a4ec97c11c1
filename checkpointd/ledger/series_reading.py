"""The queries about whole series: each at a glance, from indexes, and the history of one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.ledger import rows
from checkpointd.ledger.facts import ABSENT, CheckpointSummary, SeriesSummary, State
from checkpointd.ledger.row_reader import RowReader

if TYPE_CHECKING:
    from collections.abc import Collection

    from checkpointd.core.report import Report

_CLOCK_SKEW = 300.0
"""A save time that is later than its report by more than this is wrong."""

_SAVES = 12
"""How many of the last saves tell how often a series is saved."""

_ABSENT = ", ".join(f"'{state}'" for state in sorted(ABSENT))
_ON_DISK = f"NOT IN ({_ABSENT}, 'unknown')"
_VERIFIED = "IN ('valid', 'invalid', 'inconclusive')"
_VALID = "= 'valid'"


class SeriesReader(RowReader):
    """What the status, the metrics and the pages read of a series."""

    def series(self, only: Collection[tuple[str, str]] | None = None) -> list[SeriesSummary]:
        """Every series of every watch at a glance, or those that `only` names and that exist."""
        if only is None:
            only = [
                (watch, rows.text_of(series))
                for watch, series in self._rows("SELECT DISTINCT watch, series FROM checkpoints")
            ]
        return [summary for one in only if (summary := self._summary(*one)) is not None]

    def series_reports(self, watch: str, series: str, limit: int) -> list[Report]:
        """The newest report about each content that a series had, the last saved ones first."""
        found = self._rows(
            "SELECT MAX(id) FROM reports WHERE watch = ? AND series = ? "
            "GROUP BY path, key ORDER BY saved_at DESC, MAX(id) DESC LIMIT ?",
            (watch, rows.encode(series), limit),
        )
        return [report for (i,) in found if (report := self._report(i)) is not None]

    def _summary(self, watch: str, series: str) -> SeriesSummary | None:
        key = (watch, rows.encode(series))
        ((seen, size, count),) = self._rows(
            f"SELECT MAX(seen), SUM(CASE WHEN state IN ({_ABSENT}) THEN 0 ELSE size END), "  # noqa: S608 - our own states
            f"SUM(state NOT IN ({_ABSENT})) "
            "FROM checkpoints WHERE watch = ? AND series = ? AND state != 'unknown'",
            key,
        )
        if seen is None:
            return None
        last_valid, step = self._last_valid(key)
        ((newest,),) = self._rows("SELECT MAX(id) FROM reports WHERE watch = ? AND series = ?", key)
        valid = self._newest(key, _VALID)
        ((not_valid, since),) = self._rows(
            "SELECT COUNT(*), MIN(saved_at) FROM checkpoints WHERE watch = ? AND series = ? "
            "AND state IN ('invalid', 'inconclusive') AND (saved_at, id) > (?, ?)",
            (*key, valid.saved_at if valid else -1e300, valid.id if valid else 0),
        )
        saves = self._rows(
            "SELECT saved_at FROM reports WHERE watch = ? AND series = ? ORDER BY id DESC LIMIT ?",
            (*key, 2 * _SAVES),
        )
        return SeriesSummary(
            watch=watch,
            series=series,
            last_seen=seen,
            last_valid=last_valid,
            last_valid_step=step,
            retained_bytes=size,
            facts=self._facts(newest),
            count=count,
            newest=self._newest(key, _ON_DISK),
            newest_verified=self._newest(key, _VERIFIED),
            newest_valid=valid,
            not_valid=not_valid,
            not_valid_since=since,
            saves=tuple(sorted({saved for (saved,) in saves}, reverse=True)[:_SAVES]),
        )

    def _last_valid(self, key: tuple[str, bytes]) -> tuple[float, int | None]:
        """When the newest valid one was saved, on disk or not, and its step."""
        found = self._rows(
            "SELECT saved_at, step FROM reports WHERE watch = ? AND series = ? "
            "AND verdict = 'valid' AND saved_at <= finished_at + ? ORDER BY saved_at DESC LIMIT 1",
            (*key, _CLOCK_SKEW),
        ) or self._rows(  # all have save times later than they were verified: a clock was wrong
            "SELECT finished_at, step FROM reports WHERE watch = ? AND series = ? "
            "AND verdict = 'valid' ORDER BY id DESC LIMIT 1",
            key,
        )
        return found[0] if found else (0.0, None)

    def _newest(self, key: tuple[str, bytes], states: str) -> CheckpointSummary | None:
        found = self._rows(
            "SELECT c.id, c.path, c.state, c.checkpoint, c.saved_at, c.size, c.report, c.message, "  # noqa: S608 - our own states
            "r.step FROM checkpoints c LEFT JOIN reports r ON r.id = c.report "
            f"WHERE c.watch = ? AND c.series = ? AND c.state {states} "
            "ORDER BY c.saved_at DESC, c.id DESC LIMIT 1",
            key,
        )
        return self._to_summary(*found[0]) if found else None

    def _to_summary(  # noqa: PLR0917 - the columns above
        self,
        number: int,
        path: bytes,
        state: str,
        checkpoint: Any,
        saved_at: float,
        size: int,
        report_number: int | None,
        message: bytes,
        step: int | None,
    ) -> CheckpointSummary:
        report = self._report(report_number)
        try:
            named = rows.load_checkpoint(checkpoint).step
        except (ValueError, RecursionError):
            named = None
        return CheckpointSummary(
            id=number,
            path=rows.path_text(path),
            state=State(state),
            step=step if named is None else named,
            saved_at=saved_at,
            size_bytes=size,
            reason=report.reason if report else "",
            message=report.message if report else rows.text_of(message),
            verified_at=report.finished_at if report else None,
        )
