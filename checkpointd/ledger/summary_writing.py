"""How summaries of reports are written: with each report, and later for those of older versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.ledger import rows, summaries
from checkpointd.ledger.replicas import ReplicaTable

if TYPE_CHECKING:
    from collections.abc import Collection

    from checkpointd.ledger.facts import Entry


class SummaryWriter(ReplicaTable):
    """Adds the summaries that an older version has not written, and asks for what they say."""

    _summarised = 0
    """Up to this report there is nothing to add."""

    def add_summaries(self, limit: int) -> int:
        """Add missing summaries of the reports about what is at its path; return how many were.

        Fewer than `limit` are the last of them. One whose report is damaged stays without.
        """
        selected = self._rows(
            "SELECT c.report, CAST(r.body AS BLOB) FROM checkpoints c "
            "JOIN reports r ON r.id = c.report WHERE c.report > ? "
            "AND NOT EXISTS (SELECT 1 FROM summaries s WHERE s.report = c.report) "
            "ORDER BY c.report LIMIT ?",
            (self._summarised, limit),
        )
        if not selected:
            return 0
        reports = ((number, rows.load_report(body)) for number, body in selected)
        values = [summaries.row_of(number, report) for number, report in reports if report]
        with self._writing():
            self._connection.executemany(summaries.INSERT, values)
        self._summarised = selected[-1][0]
        return len(selected)

    def verdicts_to_check(
        self,
        watch: str,
        settings: str,
        words: Collection[str],
        *,
        loadable: bool,
        after: Entry | None = None,
        limit: int = 500,
    ) -> list[Entry]:
        """What has a verdict that may be another one now, the last saved first.

        Args:
            watch: the watch's name.
            settings: the digest of its settings now.
            words: the last words of reasons for which a verdict is always one of these.
            loadable: whether what was valid without being loaded is one of these.
            after: those that come after this one.
            limit: the most that are returned.
        """
        reason = " OR ".join(["s.reason = ? OR s.reason LIKE '%.' || ?"] * len(words))
        values: list[Any] = [watch]
        values += [word for one in words for word in (one, one)]
        values += [settings, loadable]
        place = ""
        if after is not None:
            place = "AND (c.saved_at, c.id) < (?, ?) "
            values += [after.saved_at, after.id]
        return self._entries(
            "WHERE c.watch = ? AND c.state IN ('valid', 'invalid', 'inconclusive') "
            f"AND (s.report IS NULL OR {reason} OR (s.settings != ? AND "
            "(s.verdict != 'valid' OR (? AND s.shown NOT LIKE '%\"loads\"%')))) "
            f"{place}ORDER BY c.saved_at DESC, c.id DESC LIMIT ?",
            [*values, limit],
        )
