"""The conversion of rows to entries and reports, with a cache of the reports."""

from __future__ import annotations

import contextlib
import sqlite3
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from checkpointd.ledger import rows
from checkpointd.ledger.errors import LedgerError, explain
from checkpointd.ledger.facts import ABSENT, Earlier, Entry, State
from checkpointd.ledger.summaries import COLUMNS, ReportSummary, SummaryDecoder, summary_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from checkpointd.core.report import Report

_NO_TAGS: frozenset[str] = frozenset()
_CACHED_REPORTS = 64
_CACHED_BYTES = 4 * 1024 * 1024
_COLUMNS = ", ".join(f"c.{name}" for name in rows.COLUMNS)
_TELLING = (
    "(b.digest != '' AND NOT EXISTS (SELECT 1 FROM reports x WHERE x.digest = b.digest "
    "AND x.series = b.series AND x.watch = b.watch AND x.path != b.path))"
)
"""Whether the content of a report is that of one path of its series; else it identifies no path."""

ABSENT_STATES = ", ".join(f"'{state}'" for state in sorted(ABSENT))
"""`ABSENT` as a list in SQL."""

ORIGINAL = (
    "LEFT JOIN reports o ON o.id = CASE WHEN c.first_seen != c.seen THEN (SELECT MIN(b.id) "  # noqa: S608 - our own names
    "FROM reports b JOIN reports n ON n.id = c.report AND n.digest = +b.digest "
    f"WHERE b.path = c.path AND b.sequence BETWEEN 1 AND c.sequence - 1 AND {_TELLING}) END"
)
"""Joins `o`, the first report about a path with the content that is there again.

`+b.digest` keeps SQLite from using the index of digests: very many may have none.
"""

BEFORE = (
    "CASE WHEN c.first_seen != c.seen THEN (SELECT group_concat(b.sequence || ' ' || b.saved_at "  # noqa: S608 - our own names
    f"|| ' ' || CASE WHEN {_TELLING} THEN hex(b.digest) ELSE '' END) FROM reports b "
    "WHERE b.path = c.path AND b.sequence BETWEEN 1 AND c.sequence - 1) END"
)
"""A column: the contents that were verified at a path before."""

_ENTRY = (
    f"SELECT {_COLUMNS}, p.path IS NOT NULL, "  # noqa: S608 - our own names
    "(SELECT group_concat(t.tag) FROM tags t WHERE t.path = c.path), o.saved_at, o.sequence, "
    f"{BEFORE}, %s FROM checkpoints c "
    f"LEFT JOIN pins p ON p.path = c.path {ORIGINAL}"
)
SUMMARY = ", ".join(f"s.{name}" for name in COLUMNS)
WITH_SUMMARY = "LEFT JOIN summaries s ON s.report = c.report"
"""Joins `s`, the summary of the report about a checkpoint."""

_WHOLE = f"{_ENTRY % 'NULL'}"
_SUMMARISED = f"{_ENTRY % SUMMARY} {WITH_SUMMARY}"


def original_of(saved_at: float | None, sequence: int) -> Earlier | None:
    """What was at a path before with the same content, from the first report about it."""
    return None if saved_at is None else Earlier(saved_at, sequence)


def before_of(text: str | None) -> tuple[Earlier, ...]:
    """What was at a path before, oldest first, from the column `BEFORE`; without its copies."""
    if not text:
        return ()
    first: dict[str, int] = {}
    reports = sorted((int(s), float(t), d) for s, t, d in (o.split(" ") for o in text.split(",")))
    sequences = {
        sequence: saved_at
        for sequence, saved_at, digest in reports
        if not digest or first.setdefault(digest, sequence) == sequence
    }
    return tuple(Earlier(saved_at, sequence) for sequence, saved_at in sequences.items())


class ReportCache:
    """The reports that were asked for last, bounded in number and in bytes.

    Args:
        read: returns the body of the report with a number; None if there is none.
    """

    def __init__(self, read: Callable[[int], bytes | None]) -> None:
        self._read = read
        self._reports: OrderedDict[int, tuple[Report | None, int]] = OrderedDict()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._reports)

    def get(self, number: int) -> Report | None:
        """The report with a number; None if there is none, or it is damaged."""
        if number in self._reports:
            self._reports.move_to_end(number)
            return self._reports[number][0]
        body = self._read(number)
        report = None if body is None else rows.load_report(body)
        size = 0 if body is None else len(body)
        self._reports[number] = report, size
        self.size_bytes += size
        while len(self._reports) > _CACHED_REPORTS or self.size_bytes > _CACHED_BYTES:
            self.size_bytes -= self._reports.popitem(last=False)[1][1]
        return report


class RowReader:
    """A connection to the ledger, and its rows as entries and reports."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._reports = ReportCache(self._body)
        self._summaries = SummaryDecoder()
        self._found_together: int | None = None

    def close(self) -> None:
        """Close the file; the ledger is not usable afterwards."""
        self._connection.close()

    @property
    def found_together(self) -> int:
        """The last `sequence` of an older version, which did not record what was found together."""
        if self._found_together is None:
            self._found_together = int(self._meta("found_together") or 0)
        return self._found_together

    def _meta(self, key: str) -> str | None:
        selected = self._rows("SELECT value FROM meta WHERE key = ?", (key,))
        return str(selected[0][0]) if selected else None

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._connection.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise LedgerError(f"The ledger cannot be read: {explain(error)}") from None

    def _each_row(self, statement: str, values: Sequence[Any]) -> Generator[Any]:
        """The same one by one: all of them take more memory than what is made of them."""
        try:
            yield from self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise LedgerError(f"The ledger cannot be read: {explain(error)}") from None

    def _one(self, clauses: str, values: Sequence[Any]) -> Entry | None:
        entries = list(self._to_entries(self._rows(f"{_WHOLE} {clauses}", values), self._whole))
        return entries[0] if entries else None

    def _entries(self, clauses: str, values: Sequence[Any]) -> list[Entry]:
        """Entries with the summaries of their reports."""
        with contextlib.closing(self._each_row(f"{_SUMMARISED} {clauses}", values)) as found:
            return list(self._to_entries(found, self._summary_of))

    def _to_entries(
        self,
        selected: Iterable[Any],
        report_of: Callable[[int | None, Sequence[Any]], Report | ReportSummary | None],
    ) -> Iterable[Entry]:
        count, shared = len(rows.COLUMNS), dict[str, str]()
        for row in selected:
            data = dict(zip(rows.COLUMNS, row[:count], strict=True))
            pinned, tags, saved_before, sequence_before, before, *summary = row[count:]
            try:
                checkpoint = rows.load_checkpoint(data["checkpoint"], shared)
                generation = rows.load_generation(data["generation"])
                state = State(data["state"])
            except (ValueError, RecursionError):
                raise LedgerError(
                    f"The ledger's row {data['id']} is damaged; restart the daemon, it sets a "
                    "broken ledger aside."
                ) from None
            report = report_of(data["report"], summary)
            if report is None and state in (State.VALID, State.INVALID, State.INCONCLUSIVE):
                state = State.PENDING
            yield Entry(
                id=data["id"],
                checkpoint=checkpoint,
                generation=generation,
                state=state,
                report=report,
                first_seen=data["first_seen"],
                saved_at=data["saved_at"],
                pinned=bool(pinned),
                message=rows.text_of(data["message"]),
                seen=data["seen"],
                sequence=max(data["sequence"], self.found_together),
                original=original_of(saved_before, sequence_before),
                before=before_of(before),
                tags=frozenset(tags.split(",")) if tags else _NO_TAGS,
            )

    def _body(self, number: int) -> bytes | None:
        selected = self._rows("SELECT CAST(body AS BLOB) FROM reports WHERE id = ?", (number,))
        return bytes(selected[0][0]) if selected else None

    def report(self, number: int | None) -> Report | None:
        """The whole report with an id; None if there is none, or it is damaged."""
        return None if number is None else self._reports.get(number)

    def report_of(self, entry: Entry) -> Report | None:
        """The whole report of an entry of a list."""
        summary = entry.report
        return self.report(summary.id) if isinstance(summary, ReportSummary) else summary

    def _whole(self, number: int | None, _: Sequence[Any]) -> Report | None:
        return self.report(number)

    def _summary_of(self, number: int | None, row: Sequence[Any]) -> ReportSummary | None:
        """A summary from its row, else from the report."""
        if number is None:
            return None
        summary = self._summaries.summary(row)
        if summary is not None:
            return summary
        report = self.report(number)
        return None if report is None else summary_of(number, report)
