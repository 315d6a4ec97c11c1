"""The queries about whole series: each at a glance, and the history of one.

No clock is believed that is ahead: a save counts as no later than it was seen or verified, and
what was seen in the future, before a clock was corrected, as older than everything else.

`+state` keeps SQLite from using the index of states: most checkpoints of a watch are valid.
"""

from __future__ import annotations

import contextlib
import time
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from checkpointd.ledger import rows
from checkpointd.ledger.facts import CheckpointSummary, SeriesSummary, State
from checkpointd.ledger.row_reader import ABSENT_STATES, SUMMARY, WITH_SUMMARY, RowReader

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from checkpointd.core.checkpoint import Checkpoint
    from checkpointd.core.report import Facts, Report
    from checkpointd.ledger.facts import Entry
    from checkpointd.ledger.summaries import FactsSummary, ReportSummary

_CLOCK_SKEW = 300.0
"""A time that is later than it can be by more than this is wrong."""

_OLDER = 1e11
"""What is taken off a time that is wrong, in seconds."""

_SAVES = 21
"""How many of the last saves the interval between saves is measured over."""

_REPORTS = 4
"""How many reports are looked at for each content that is wanted."""

_ON_DISK = f"NOT IN ({ABSENT_STATES}, 'unknown')"
_VERIFIED = "IN ('valid', 'invalid', 'inconclusive')"
_VALID = "= 'valid'"
_VERDICTS = (State.VALID, State.INVALID, State.INCONCLUSIVE)
_SAVED = "MIN(c.saved_at, c.seen)"
_PLACE = f"CASE WHEN {_SAVED} > ? THEN {_SAVED} - {_OLDER} ELSE {_SAVED} END"

_TOTALS = (
    f"MAX(seen), SUM(CASE WHEN state IN ({ABSENT_STATES}) THEN 0 ELSE size END), "
    f"SUM(state NOT IN ({ABSENT_STATES})) FROM checkpoints WHERE state != 'unknown'"
)
_SUMMARY = (
    f"SELECT c.id, c.path, c.state, c.checkpoint, {_SAVED}, c.size, c.report, c.message, r.step, "  # noqa: S608 - our own names
    f"{SUMMARY} FROM checkpoints c LEFT JOIN reports r ON r.id = c.report {WITH_SUMMARY}"
)


class _SummaryRow(NamedTuple):
    """A checkpoint at a glance, its report, and the metrics in its name."""

    summary: CheckpointSummary | None = None
    report: ReportSummary | None = None
    named: Mapping[str, float] = MappingProxyType({})


_NO_ROW = _SummaryRow()


class SeriesReader(RowReader):
    """What the status, the metrics and the pages read of a series."""

    def series(self, only: Collection[tuple[str, str]] | None = None) -> list[SeriesSummary]:
        """Every series of every watch at a glance, or those that `only` names and that exist."""
        if only is None:
            selected = self._rows(f"SELECT watch, series, {_TOTALS} GROUP BY watch, series")
            return [self._summary((watch, series), *totals) for watch, series, *totals in selected]
        keys = [(watch, rows.encode(series)) for watch, series in only]
        totals_of = [
            (key, self._rows(f"SELECT {_TOTALS} AND watch = ? AND series = ?", key)[0])
            for key in keys
        ]
        return [self._summary(key, *totals) for key, totals in totals_of if totals[0] is not None]

    def series_reports(
        self, watch: str, series: str, limit: int
    ) -> list[tuple[int | None, Report]]:
        """The newest report about each content that a series had, the last saved ones first.

        Each with the id of its checkpoint, None if that content is not on disk any more.
        """
        selected = self._rows(
            "SELECT MAX(r.id), (SELECT c.id FROM checkpoints c WHERE c.path = r.path "  # noqa: S608 - our own states
            f"AND c.key = r.key AND c.state NOT IN ({ABSENT_STATES})) "
            "FROM (SELECT id, path, key, MIN(saved_at, finished_at) AS saved FROM reports "
            "WHERE watch = ? AND series = ? ORDER BY id DESC LIMIT ?) r "
            "GROUP BY r.path, r.key ORDER BY r.saved DESC, MAX(r.id) DESC LIMIT ?",
            (watch, rows.encode(series), _REPORTS * limit, limit),
        )
        reports = ((identity, self.report(number)) for number, identity in selected)
        return [(identity, report) for identity, report in reports if report is not None]

    def neighbours(self, entry: Entry) -> tuple[CheckpointSummary | None, CheckpointSummary | None]:
        """The checkpoints of its series that were saved before and after one, if on disk."""
        checkpoint = entry.checkpoint
        key = (checkpoint.watch, rows.encode(checkpoint.series), entry.saved_at, entry.id)
        before, after = (
            self._rows(
                f"{_SUMMARY} WHERE c.watch = ? AND c.series = ? "
                f"AND (c.saved_at, c.id) {side} (?, ?) AND +c.state {_ON_DISK} "
                f"ORDER BY c.saved_at {order}, c.id {order} LIMIT 1",
                key,
            )
            for side, order in (("<", "DESC"), (">", "ASC"))
        )
        return (
            self._summary_row(*before[0]).summary if before else None,
            self._summary_row(*after[0]).summary if after else None,
        )

    def _summary(self, key: tuple[str, bytes], seen: float, size: int, count: int) -> SeriesSummary:
        latest = time.time() + _CLOCK_SKEW
        last_valid, step = self._last_valid(key, latest)
        newest = verified = self._newest(key, _ON_DISK, latest)
        if newest.summary is not None and newest.summary.state not in _VERDICTS:
            verified = self._newest(key, _VERIFIED, latest)
        valid, not_valid, since = verified.summary, 0, None
        if valid is not None and valid.state is not State.VALID:
            valid = self._newest(key, _VALID, latest).summary
            not_valid, since = self._not_valid(key, latest, valid)
        saves = self._rows(
            "SELECT MIN(saved_at, finished_at) FROM reports WHERE watch = ? AND series = ? "
            "ORDER BY id DESC LIMIT ?",
            (*key, 2 * _SAVES),
        )
        facts, metrics = self._newest_facts(key, verified)
        return SeriesSummary(
            watch=key[0],
            series=rows.text_of(key[1]),
            last_seen=seen,
            last_valid=last_valid,
            last_valid_step=step,
            retained_bytes=size,
            facts=facts,
            metrics=metrics,
            count=count,
            newest=newest.summary,
            newest_verified=verified.summary,
            newest_valid=valid,
            not_valid=not_valid,
            not_valid_since=since,
            saves=tuple(sorted({saved for (saved,) in saves}, reverse=True)[:_SAVES]),
        )

    def _not_valid(
        self, key: tuple[str, bytes], latest: float, valid: CheckpointSummary | None
    ) -> tuple[int, float | None]:
        """How many newer than the newest valid one are not, and when the first was saved."""
        ((count, since),) = self._rows(
            f"SELECT COUNT(*), MIN({_SAVED}) FROM checkpoints c WHERE c.watch = ? "  # noqa: S608 - our own states
            f"AND c.series = ? AND +c.state IN ('invalid', 'inconclusive') AND ({_PLACE}, c.id) > "
            f"(SELECT {_PLACE}, c.id FROM checkpoints c WHERE c.id = ? "
            f"UNION ALL SELECT {-_OLDER * 2}, 0 LIMIT 1)",
            (*key, latest, latest, valid.id if valid else None),
        )
        return count, since

    def _last_valid(self, key: tuple[str, bytes], latest: float) -> tuple[float, int | None]:
        """When the newest valid one was saved, on disk or not, and its step.

        Beside the save times that can be true, the one that was verified last counts.
        """
        timed = self._rows(
            "SELECT saved_at, step FROM reports WHERE watch = ? AND series = ? AND verdict = "
            "'valid' AND saved_at <= MIN(finished_at + ?, ?) ORDER BY saved_at DESC LIMIT 1",
            (*key, _CLOCK_SKEW, latest),
        )
        last = self._rows(
            "SELECT MIN(saved_at, finished_at), step FROM reports WHERE watch = ? AND series = ? "
            "AND verdict = 'valid' ORDER BY id DESC LIMIT 1",
            key,
        )
        credible = [row for row in (*timed, *last) if row[0] <= latest] or last
        return max(credible, default=(0.0, None), key=lambda row: row[0])

    def _newest_facts(
        self, key: tuple[str, bytes], verified: _SummaryRow
    ) -> tuple[Facts | FactsSummary | None, dict[str, float]]:
        """Facts and metrics of the newest with a verdict; if none is on disk, of the last one."""
        report: Report | ReportSummary | None = verified.report
        named = verified.named
        if report is None:
            ((number,),) = self._rows(
                "SELECT MAX(id) FROM reports WHERE watch = ? AND series = ?", key
            )
            if (last := self.report(number)) is None:
                return None, {}
            report, named = last, last.checkpoint.metrics
        return report.facts, {**named, **report.facts.metrics, **report.facts.evaluation}

    def _newest(self, key: tuple[str, bytes], states: str, latest: float) -> _SummaryRow:
        selected = self._rows(
            f"{_SUMMARY} WHERE c.id = (SELECT c.id FROM checkpoints c WHERE c.watch = ? "  # noqa: S608 - our own states
            f"AND c.series = ? AND +c.state {states} ORDER BY {_PLACE} DESC, c.id DESC LIMIT 1)",
            (*key, latest),
        )
        return self._summary_row(*selected[0]) if selected else _NO_ROW

    def _summary_row(  # noqa: PLR0917 - the columns above
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
        *summary: Any,
    ) -> _SummaryRow:
        report = self._summary_of(report_number, summary)
        named: Checkpoint | None = None
        with contextlib.suppress(ValueError, RecursionError):
            named = rows.load_checkpoint(checkpoint)
        return _SummaryRow(
            CheckpointSummary(
                id=number,
                path=rows.path_text(path),
                state=State(state),
                step=step if named is None or named.step is None else named.step,
                saved_at=saved_at,
                size_bytes=size,
                reason=report.reason if report else "",
                message=report.message if report else rows.text_of(message),
                verified_at=report.finished_at if report else None,
            ),
            report,
            named.metrics if named else {},
        )
