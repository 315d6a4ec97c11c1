"""The queries of the ledger; they also work while a daemon writes."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from checkpointd.ledger import rows
from checkpointd.ledger.clock import Ages, Clock, Reading, WallAges, read_clocks
from checkpointd.ledger.facts import (
    FINISHED,
    DepartedCheckpoint,
    Entry,
    RecordedPath,
    State,
)
from checkpointd.ledger.retention_reading import RetentionReader
from checkpointd.ledger.row_reader import ABSENT_STATES, BEFORE, ORIGINAL, before_of, original_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from checkpointd.core.checkpoint import Checkpoint, Generation
    from checkpointd.core.report import Report

_LAST_REPORTS = 5
_FINISHED = ", ".join(f"'{state}'" for state in sorted(FINISHED))


class Reader(RetentionReader):
    """Every query; `checkpointd.ledger.Ledger` adds what can be written."""

    read_clocks: Callable[[], Reading] = staticmethod(read_clocks)
    """Reads the clocks of the machine."""

    def entry(self, path: str) -> Entry | None:
        """The entry of a path; None if it was never seen."""
        return self._one("WHERE c.path = ?", (rows.path_bytes(path),))

    def entries_at(self, paths: Sequence[str]) -> list[Entry | None]:
        """The entry of each path, in that order; None where it was never seen."""
        marks = ", ".join("?" * len(paths))
        asked = [rows.path_bytes(path) for path in paths]
        by_path = {e.path: e for e in self._entries(f"WHERE c.path IN ({marks})", asked)}
        return [by_path.get(path) for path in paths]

    def by_id(self, identity: int) -> Entry | None:
        """The entry with an id; None if there is none."""
        return self._one("WHERE c.id = ?", (identity,))

    def entries(
        self,
        watch: str | None = None,
        series: str | None = None,
        states: Collection[State] | None = None,
        limit: int | None = None,
        below: Collection[str] = (),
        *,
        is_sorted: bool = True,
    ) -> list[Entry]:
        """Entries, newest saved first; without `states` those that are at their path now.

        With `below` only those that are one of these directories, or inside one. Very many are read
        four times as fast in the order of the file (`is_sorted`).
        """
        where, values = ["1"], list[Any]()
        if watch is not None:
            where.append("c.watch = ?")
            values.append(watch)
        if series is not None:
            where.append("c.series = ?")
            values.append(rows.encode(series))
        if states is None:
            where.append(f"c.state NOT IN ({ABSENT_STATES})")
        else:
            where.append(f"c.state IN ({', '.join('?' * len(states))})")
            values.extend(str(state) for state in states)
        order = "ORDER BY c.saved_at DESC, c.id DESC LIMIT ?"
        if below:
            where = [f"+{one}" if one.startswith("c.") else one for one in where]
            each = "c.path = ? OR (c.path > ? AND c.path < ?)"  # this index alone is to be used
            where.append(f"({' OR '.join([each] * len(below))})")
            for directory in map(rows.path_bytes, below):
                top = directory.rstrip(b"/")
                values += [directory, top + b"/", top + b"0"]
            order = f"ORDER BY +{order.removeprefix('ORDER BY ')}"
        elif not is_sorted:
            where, order = [f"+{one}" for one in where], "ORDER BY c.id LIMIT ?"
        values.append(-1 if limit is None else limit)
        return self._entries(f"WHERE {' AND '.join(where)} {order}", values)

    def departed(self, watch: str) -> list[DepartedCheckpoint]:
        """Checkpoints of a watch that are gone or in the trash."""
        result = self._rows(
            "SELECT c.id, c.checkpoint, r.step, c.saved_at, c.first_seen, c.seen, c.sequence, "  # noqa: S608 - our own states
            f"{BEFORE}, o.saved_at, o.sequence "
            f"FROM checkpoints c LEFT JOIN reports r ON r.id = c.report {ORIGINAL} "
            f"WHERE c.watch = ? AND c.state IN ({ABSENT_STATES})",
            (watch,),
        )
        return [
            DepartedCheckpoint(
                id=number,
                checkpoint=checkpoint,
                step=step if checkpoint.step is None else checkpoint.step,
                saved_at=saved_at,
                first_seen=first_seen,
                seen=seen,
                sequence=max(sequence, self.found_together),
                original=original_of(*origin),
                before=before_of(before),
            )
            for number, text, step, saved_at, first_seen, seen, sequence, before, *origin in result
            if (checkpoint := _checkpoint(text)) is not None
        ]

    def last_valid(self, watch: str, series: str, before_path: str | None = None) -> Entry | None:
        """The newest valid checkpoint of a series.

        With `before_path`, the newest one saved before the checkpoint at that path; if there is
        none, what was valid at that same path before it was overwritten, from the reports.
        """
        where, values = "", list[Any]()
        current = self.entry(before_path) if before_path is not None else None
        if current is not None:
            where = "AND (c.saved_at, c.id) < (?, ?)"
            values = [current.saved_at, current.id]
        entry = self._one(
            f"WHERE c.watch = ? AND c.series = ? AND c.state = 'valid' AND c.path IS NOT ? {where} "
            "ORDER BY c.saved_at DESC, c.id DESC LIMIT 1",
            (
                watch,
                rows.encode(series),
                None if before_path is None else rows.path_bytes(before_path),
                *values,
            ),
        )
        return entry or (self._overwritten(current) if current is not None else None)

    def extremes(
        self, checkpoint: Checkpoint, generation: Generation, evaluated_by: str
    ) -> dict[str, tuple[float, float]]:
        """The lowest and the highest value of each metric among the valid ones of a series.

        Of those saved no later than a generation, without that one itself, as their newest
        reports have them, pruned ones included; only what was evaluated in the same way counts.
        """
        selected = self._rows(
            "SELECT e.metric, MIN(e.value), MAX(e.value) FROM reports r "
            "JOIN evaluations e ON e.report = r.id WHERE r.watch = ? AND r.series = ? "
            "AND r.verdict = 'valid' AND r.saved_at <= ? AND e.evaluated_by = ? "
            "AND NOT (r.path = ? AND r.key = ?) AND r.id = "
            "(SELECT MAX(n.id) FROM reports n WHERE n.path = r.path AND n.key = r.key) "
            "GROUP BY e.metric",
            (
                checkpoint.watch,
                rows.encode(checkpoint.series),
                generation.saved_at,
                evaluated_by,
                rows.path_bytes(checkpoint.path),
                generation.key,
            ),
        )
        return {metric: (lowest, highest) for metric, lowest, highest in selected}

    def unread_for_longest(self, watch: str, before: float) -> Entry | None:
        """The valid checkpoint whose bytes were last read longest ago; None if all were since.

        Args:
            watch: the watch's name.
            before: seconds since the epoch; what was read later than that is left out.
        """
        read = "COALESCE((SELECT s.at FROM scrubs s WHERE s.path = c.path AND s.key = c.key), 0)"
        reported = "COALESCE((SELECT r.finished_at FROM reports r WHERE r.id = c.report), 0)"
        return self._one(
            f"WHERE c.watch = ? AND c.state = 'valid' AND MAX({read}, {reported}) < ? "
            f"ORDER BY MAX({read}, {reported}), c.id LIMIT 1",
            (watch, before),
        )

    def digest_of(self, path: str, generation: Generation) -> str:
        """The digest of a path's content, if this very generation was once found intact.

        Empty if it was not, or if somebody has touched a file of it since, which may have changed
        its content.
        """
        entry = self.entry(path)
        if entry is None or entry.generation.identity != generation.identity:
            return ""
        intact = (
            r.facts.digest
            for r in self.history(path)
            if r.generation.key == generation.key and "intact" in r.shown
        )
        return next(intact, "")

    def recorded_paths(self, watch: str) -> dict[str, RecordedPath]:
        """Everything recorded of a watch that was there when it was last seen, by path.

        The identity is empty where the content still needs a verdict, so that the watch reports it;
        only there is known for how long it has been there.
        """
        ages, labels, recorded = self.ages(), dict[bytes, str](), dict[str, RecordedPath]()
        selected = self._each_row(
            f"SELECT path, series, CASE WHEN state IN ({_FINISHED}) "  # noqa: S608 - ours
            "THEN generation ELSE '' END, key, seen "
            f"FROM checkpoints WHERE watch = ? AND state NOT IN ({ABSENT_STATES})",
            (watch,),
        )
        with contextlib.closing(selected):
            for path, series, generation, key, seen in selected:
                label = labels.get(series) or labels.setdefault(series, rows.text_of(series))
                recorded[rows.path_text(path)] = (
                    RecordedPath(_identity(key, generation), label)
                    if generation
                    else RecordedPath("", label, key, ages.age(seen))
                )
        return recorded

    def counts(self) -> dict[str, dict[State, int]]:
        """How many checkpoints each watch has in each state but `gone`."""
        counts: dict[str, dict[State, int]] = {}
        for watch, state, count in self._rows(
            "SELECT watch, state, count(*) FROM checkpoints WHERE state != 'gone' GROUP BY 1, 2"
        ):
            counts.setdefault(watch, {})[State(state)] = count
        return counts

    def history(self, path: str) -> list[Report]:
        """The reports about a path, newest first, of all its generations."""
        selected = self._rows(
            "SELECT id FROM reports WHERE path = ? ORDER BY id DESC", (rows.path_bytes(path),)
        )
        return [report for (i,) in selected if (report := self.report(i)) is not None]

    def last_intact(self, path: str) -> Report | None:
        """The newest report about a path whose content was read whole, among the last few."""
        selected = self._rows(
            "SELECT id FROM reports WHERE path = ? ORDER BY id DESC LIMIT ?",
            (rows.path_bytes(path), _LAST_REPORTS),
        )
        reports = (self.report(i) for (i,) in selected)
        return next((r for r in reports if r is not None and "intact" in r.shown), None)

    def last_reported(self, limit: int) -> list[Entry]:
        """The entries with the newest reports, newest first, across watches."""
        return self._entries("WHERE c.report IS NOT NULL ORDER BY c.report DESC LIMIT ?", [limit])

    def ages(self) -> Ages:
        """How old the times in the ledger are, by a clock that nobody sets."""
        reading = self.read_clocks()
        stored = self._meta("clock")
        clock = Clock.from_json(stored) if stored else None
        return WallAges(reading.wall) if clock is None else clock.advanced(reading)

    def _overwritten(self, current: Entry) -> Entry | None:
        for report in self.history(current.path):
            if report.verdict == "valid" and report.generation.key != current.generation.key:
                return Entry(
                    id=current.id,
                    checkpoint=report.checkpoint,
                    generation=report.generation,
                    state=State.SUPERSEDED,
                    report=report,
                    first_seen=current.first_seen,
                    saved_at=report.generation.saved_at,
                    pinned=current.pinned,
                )
        return None


def _checkpoint(text: str) -> Checkpoint | None:
    try:
        return rows.load_checkpoint(text)
    except (ValueError, RecursionError):
        return None


def _identity(key: str, generation: str) -> str:
    """The identity of a generation that is stored with its key; empty if it is damaged."""
    try:
        return key + rows.load_generation(generation).inode_key
    except (ValueError, RecursionError):
        return ""
