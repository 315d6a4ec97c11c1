"""The ledger: what was seen, reported, pinned and pruned, written so that it survives a crash."""

from __future__ import annotations

import dataclasses
import secrets
import time
from typing import TYPE_CHECKING, Self

from checkpointd.core.report import with_facts
from checkpointd.ledger import policies, rows
from checkpointd.ledger.changes import Change, ChangeKind
from checkpointd.ledger.errors import LedgerError
from checkpointd.ledger.facts import ABSENT, Entry, State
from checkpointd.ledger.opening import open_readonly, open_writable
from checkpointd.ledger.pins import PinFile
from checkpointd.ledger.removals import VERDICTS, RemovalStore

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.core.checkpoint import Checkpoint, Generation
    from checkpointd.core.report import Report

PINS = "pins.jsonl"
_OLD_ROWS = 10_000
_OLD_PRUNES = 100_000


class Ledger(RemovalStore):
    """One connection to the ledger, for use in one thread.

    Every method that writes raises LedgerError if it cannot, and then changes nothing.
    """

    @classmethod
    def open(cls, state_dir: Path, *, readonly: bool = False) -> Self:
        """Open the ledger of a state directory; created if there is none, unless `readonly`.

        Raises:
            LedgerError: there is none to read, or it can neither be opened nor created.
        """
        if readonly:
            return cls(open_readonly(state_dir), None)
        connection, lost = open_writable(state_dir)
        ledger = cls(connection, PinFile(state_dir / PINS))
        try:
            ledger.opening_progress = ledger.progress
            ledger._take_over(lost=lost)
            ledger.advance_clock()
        except LedgerError:
            ledger.close()
            raise
        return ledger

    def record_seen(
        self,
        checkpoint: Checkpoint,
        generation: Generation,
        state: State,
        message: str = "",
        listing: int = 0,
    ) -> Entry:
        """Record what is at a path now; another generation replaces the one before.

        Args:
            checkpoint: what is there.
            generation: its content.
            state: its state.
            message: why it has no verdict.
            listing: the listing that found this content; 0 if that is not known.
        """
        with self._writing():
            number = self._last_report(checkpoint.path, generation.key)
            self._store(ChangeKind.SEEN, checkpoint, generation, state, message, number, listing)
        return self._present(checkpoint.path)

    def record_report(
        self, report: Report, listing: int = 0, place: Checkpoint | None = None
    ) -> Entry:
        """Store a report; its generation becomes the path's, its verdict the state.

        Args:
            report: about what is at its path now.
            listing: the listing that found this content; 0 if that is not known.
            place: what the path says by itself; None: as in the report.
        """
        with self._writing():
            number = self._keep_report(report)
            self._store(
                ChangeKind.VERDICT,
                place or report.checkpoint,
                report.generation,
                VERDICTS[report.verdict],
                report.message,
                number,
                listing,
            )
        return self._present(report.checkpoint.path)

    def record_report_if_current(self, report: Report) -> Entry | None:
        """Store a report; None if another generation is at its path by now.

        Such a report is only history: its content was read completely and overwritten since.
        Nothing can change between the comparison and the write: this is one call in one thread.
        Its series is the one that the path has by now, which may have changed since it was read.
        """
        current = self._current(report.checkpoint.path, report.generation)
        if current is not None:
            place = _placed(report.checkpoint, current.checkpoint)
            checkpoint = with_facts(place, report.facts)
            return self.record_report(
                dataclasses.replace(report, checkpoint=checkpoint), place=place
            )
        with self._writing():
            self._keep_report(report)
            about = report.checkpoint
            self._uncommitted.append(Change(ChangeKind.VERDICT, about.watch, about.series))
        return None

    def record_placement(self, checkpoint: Checkpoint) -> Entry | None:
        """Change the series, version, step and metrics of a path; its verdict stays.

        None if the path is not there, or nothing changes.
        """
        entry = self.entry(checkpoint.path)
        if entry is None or entry.state in ABSENT:
            return None
        before = entry.checkpoint
        after = _placed(before, checkpoint)
        if after == before:
            return None
        with self._writing():
            self._connection.execute(
                "UPDATE reports SET series = ? WHERE path = ? AND key = ?",
                (
                    rows.encode(after.series),
                    rows.path_bytes(after.path),
                    entry.generation.key,
                ),
            )
            number = self._last_report(after.path, entry.generation.key)
            self._store(
                ChangeKind.PLACED, after, entry.generation, entry.state, entry.message, number
            )
        return self._present(after.path)

    def record_state_if_current(
        self, checkpoint: Checkpoint, generation: Generation, state: State, message: str = ""
    ) -> Entry | None:
        """Record why the generation at a path has no verdict; None if another one is there."""
        current = self._current(checkpoint.path, generation)
        if current is None:
            return None
        placed = _placed(checkpoint, current.checkpoint)
        return self.record_seen(placed, generation, state, message)

    def check_writable(self) -> None:
        """Write a time stamp, to find out whether the ledger can be written.

        Raises:
            LedgerError: it cannot.
        """
        with self._writing():
            self._set_meta("written_at", repr(time.time()))

    def _current(self, path: str, generation: Generation) -> Entry | None:
        """What is at a path, if it is this generation."""
        entry = self.entry(path)
        if entry is None or entry.state in ABSENT or entry.generation.key != generation.key:
            return None
        return entry

    def carry_verdict_over(self, path: str, generation: Generation) -> Entry | None:
        """Keep a verdict for the same content under another inode or change time.

        The caller has compared the digest of the content. None, and nothing changes, if names,
        sizes or times differ, or there is no verdict.
        """
        entry = self.entry(path)
        if entry is None or entry.report is None or entry.generation.key != generation.key:
            return None
        state = VERDICTS[entry.report.verdict]
        with self._writing():
            number = self._last_report(path, generation.key)
            self._store(
                ChangeKind.VERDICT,
                entry.checkpoint,
                generation,
                state,
                entry.report.message,
                number,
            )
        return self._present(path)

    def record_scrub(self, path: str, generation: Generation) -> None:
        """Record that a generation was read again, and its bytes are those of its report."""
        was_unread = self._rows("SELECT 1 FROM unread WHERE path = ?", (rows.path_bytes(path),))
        with self._writing():
            self._connection.execute(
                "INSERT OR REPLACE INTO scrubs (path, key, at) VALUES (?, ?, ?)",
                (rows.path_bytes(path), generation.key, time.time()),
            )
            if was_unread and (entry := self.entry(path)) is not None:
                about = entry.checkpoint
                self._uncommitted.append(Change(ChangeKind.VERDICT, about.watch, about.series))

    def record_gone(self, path: str) -> None:
        """Record that nothing is at a path any more; a trashed checkpoint stays trashed."""
        entry = self.entry(path)
        if entry is None or entry.state is State.TRASHED:
            return
        with self._writing():
            self._set_state(ChangeKind.GONE, path, State.GONE)

    def record_policies(self, watch: str, records: policies.PolicyRecords) -> None:
        """Record which retention policies are accepted for a watch."""
        with self._writing():
            self._set_meta(f"accepted:{watch}", policies.dump(records.accepted))
            self._set_meta(f"waiting:{watch}", policies.dump(records.waiting))
            self._set_meta(f"dropped:{watch}", policies.dump_dropped(records.dropped))

    def _take_over(self, *, lost: bool) -> None:
        """Merge the file of pins and tags, record a lost ledger, delete old rows."""
        pins = self._pin_file()
        is_new = self._meta("created_at") is None
        replayed = pins.replay()
        stored = (*self.pins(), *self.tags())
        missing = [pin for pin in stored if pin.key not in replayed.last]
        if is_new:
            lost = lost or not pins.begin()
        for pin in missing:
            pins.append(pin, pinned=True)
        with self._writing():
            if is_new:
                self._set_meta("created_at", repr(time.time()))
            if lost:
                self.is_replacement = True
                self._set_meta("rebuilt_at", repr(time.time()))
                self._set_meta("damaged_pins", str(replayed.damaged))
                self._connection.execute("DELETE FROM meta WHERE key LIKE 'confirmed:%'")
            if not self.identity:
                self._set_meta("identity", secrets.token_hex(16))
            self._replay_pins(replayed)
            self._connection.execute(
                "DELETE FROM checkpoints WHERE state = 'gone' AND id NOT IN "
                "(SELECT id FROM checkpoints WHERE state = 'gone' ORDER BY seen DESC LIMIT ?)",
                (_OLD_ROWS,),
            )
            self._connection.execute(
                "DELETE FROM reports WHERE path NOT IN (SELECT path FROM checkpoints)"
            )
            self._connection.execute(
                "DELETE FROM scrubs WHERE path NOT IN (SELECT path FROM checkpoints)"
            )
            self._connection.execute(
                "DELETE FROM prunes WHERE id NOT IN "
                "(SELECT id FROM prunes ORDER BY id DESC LIMIT ?)",
                (_OLD_PRUNES,),
            )

    def _present(self, path: str) -> Entry:
        entry = self.entry(path)
        if entry is None:
            raise LedgerError(f"The ledger lost {path!r} while it was written.")
        return entry


def _placed(checkpoint: Checkpoint, place: Checkpoint) -> Checkpoint:
    """A checkpoint in another place of the same watch: its series, version, step and metrics."""
    if checkpoint.watch != place.watch:
        return checkpoint
    return dataclasses.replace(
        checkpoint,
        series=place.series,
        version=place.version,
        step=place.step,
        metrics=place.metrics,
    )
