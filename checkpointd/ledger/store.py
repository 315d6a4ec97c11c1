"""The ledger: what was seen, reported, pinned and pruned, written so that it survives a crash."""

from __future__ import annotations

import contextlib
import math
import sqlite3
import time
from typing import TYPE_CHECKING, Any, Self

from checkpointd.checkpoint import Verdict
from checkpointd.ledger import rows
from checkpointd.ledger.facts import ABSENT, Entry, LedgerError, Pin, State
from checkpointd.ledger.pins import PinFile
from checkpointd.ledger.reading import Reader
from checkpointd.ledger.schema import explain, open_readonly, open_writable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from checkpointd.checkpoint import Checkpoint, Generation, Report

PINS = "pins.jsonl"
_REPORTS_PER_PATH = 20
_OLD_ROWS = 10_000
_MAX_INTEGER = 2**63 - 1
_VERDICTS = {
    Verdict.VALID: State.VALID,
    Verdict.INVALID: State.INVALID,
    Verdict.INCONCLUSIVE: State.INCONCLUSIVE,
}


class Ledger(Reader):
    """One connection to the ledger; to be used from one thread.

    Every method that writes raises LedgerError, and leaves what was there, if it cannot.
    """

    def __init__(self, connection: sqlite3.Connection, pins: PinFile | None) -> None:
        super().__init__(connection)
        self._pins = pins

    @classmethod
    def open(cls, state_dir: Path, *, readonly: bool = False) -> Self:
        """Open the ledger of a state directory; made if there is none, unless `readonly`.

        Raises:
            LedgerError: there is none to read, or it can neither be opened nor made.
        """
        if readonly:
            return cls(open_readonly(state_dir), None)
        connection, lost = open_writable(state_dir)
        ledger = cls(connection, PinFile(state_dir / PINS))
        try:
            ledger._take_over(lost=lost)
        except LedgerError:
            ledger.close()
            raise
        return ledger

    def sighted(
        self, checkpoint: Checkpoint, generation: Generation, state: State, message: str = ""
    ) -> Entry:
        """Note what lies at a path now; another generation replaces the one before."""
        with self._writing():
            number = self._last_report(checkpoint.path, generation.key)
            self._store(checkpoint, generation, state, message, number)
        return self._present(checkpoint.path)

    def reported(self, report: Report) -> Entry:
        """Keep a report; its generation becomes the path's, its verdict the state."""
        path = rows.path_bytes(report.checkpoint.path)
        step = report.checkpoint.step
        step = report.facts.step if step is None else step
        with self._writing():
            number = self._connection.execute(
                "INSERT INTO reports (path, watch, series, key, verdict, saved_at, step, "
                "finished_at, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    path,
                    report.checkpoint.watch,
                    rows.encode(report.checkpoint.series),
                    report.generation.key,
                    str(report.verdict),
                    report.generation.saved_at,
                    step if step is None or abs(step) <= _MAX_INTEGER else None,
                    report.finished_at,
                    rows.dump_report(report),
                ),
            ).lastrowid
            self._connection.executemany(
                "INSERT INTO evaluations (report, metric, value, evaluated_by) VALUES (?, ?, ?, ?)",
                rows.evaluations(number, report.facts),
            )
            self._connection.execute(
                "DELETE FROM reports WHERE path = ? AND id NOT IN "
                "(SELECT id FROM reports WHERE path = ? ORDER BY id DESC LIMIT ?)",
                (path, path, _REPORTS_PER_PATH),
            )
            state = _VERDICTS[report.verdict]
            self._store(report.checkpoint, report.generation, state, report.message, number)
        return self._present(report.checkpoint.path)

    def concluded(self, report: Report) -> Entry | None:
        """Keep a report of what still lies at its path; None, and nothing changes, otherwise.

        Between asking and writing nobody else can write: this is one call in one thread.
        """
        if not self._lies_there(report.checkpoint.path, report.generation):
            return None
        return self.reported(report)

    def amended(
        self, checkpoint: Checkpoint, generation: Generation, state: State, message: str = ""
    ) -> Entry | None:
        """Note why what still lies at a path has no verdict; None, and nothing, otherwise."""
        if not self._lies_there(checkpoint.path, generation):
            return None
        return self.sighted(checkpoint, generation, state, message)

    def check_writable(self) -> None:
        """Write something of no consequence.

        Raises:
            LedgerError: nothing at all can be written now.
        """
        with self._writing():
            self._set_meta("written_at", repr(time.time()))

    def _lies_there(self, path: str, generation: Generation) -> bool:
        entry = self.entry(path)
        return (
            entry is not None
            and entry.state not in ABSENT
            and entry.generation.key == generation.key
        )

    def carried_over(self, path: str, generation: Generation) -> Entry | None:
        """Let a verdict stand for the same content under another inode or ctime.

        The caller has compared the content's digest. None, and nothing changes, if names, sizes
        or times differ, or there is no verdict to carry over.
        """
        entry = self.entry(path)
        if entry is None or entry.report is None or entry.generation.key != generation.key:
            return None
        state = _VERDICTS[entry.report.verdict]
        with self._writing():
            number = self._last_report(path, generation.key)
            self._store(entry.checkpoint, generation, state, entry.report.message, number)
        return self._present(path)

    def gone(self, path: str) -> None:
        """Note that nothing lies at a path any more; what is in the trash stays in the trash."""
        entry = self.entry(path)
        if entry is None or entry.state is State.TRASHED:
            return
        with self._writing():
            self._set_state(path, State.GONE)

    def trashed(
        self, path: str, *, rule: str, reason: str, item: str, at: float | None = None
    ) -> None:
        """Note that a checkpoint was moved into the trash, as `item`; told twice counts once."""
        entry = self.entry(path)
        with self._writing():
            self._connection.execute(
                "INSERT INTO prunes (path, watch, at, rule, reason, size, item) "
                "VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (item) DO NOTHING",
                (
                    rows.path_bytes(path),
                    entry.checkpoint.watch if entry else "",
                    time.time() if at is None else at,
                    rule,
                    rows.encode(reason),
                    entry.generation.size_bytes if entry else 0,
                    item,
                ),
            )
            self._set_state(path, State.TRASHED)

    def restored(self, path: str, item: str) -> None:
        """Note that a checkpoint came back from the trash; its verdict stands again."""
        entry = self.entry(path)
        with self._writing():
            self._connection.execute(
                "UPDATE prunes SET restored_at = ? WHERE item = ?", (time.time(), item)
            )
            if entry is not None and entry.state in (State.TRASHED, State.GONE):
                report = entry.report
                self._set_state(path, _VERDICTS[report.verdict] if report else State.PENDING)

    def pin(self, path: str, note: str = "") -> Pin:
        """Protect a path from pruning, whatever will lie there; it need not be known yet."""
        pin = Pin(path, note, time.time())
        self._pin_file().append(pin, pinned=True)
        with self._writing():
            self._store_pin(pin)
        return pin

    def unpin(self, path: str) -> bool:
        """Take that protection away; False if there was none."""
        was_pinned = any(pin.path == path for pin in self.pins())
        if was_pinned:
            self._pin_file().append(Pin(path, "", time.time()), pinned=False)
            with self._writing():
                self._remove_pin(path)
        return was_pinned

    def confirm(self, watch: str) -> bool:
        """End the hold after a lost ledger, if all that was saved before has a verdict again.

        To be called when the whole watch has been listed.

        Returns:
            Whether nothing holds for this watch any more.
        """
        if not self.unconfirmed(watch):
            return True
        waiting = self._rows(
            "SELECT 1 FROM checkpoints WHERE watch = ? AND saved_at <= ? "
            "AND state IN ('pending', 'writing', 'superseded') LIMIT 1",
            (watch, self._rebuilt_at()),
        )
        if waiting:
            return False
        with self._writing():
            self._set_meta(f"confirmed:{watch}", repr(time.time()))
        return True

    def _rebuilt_at(self) -> float:
        try:
            return float(self._meta("rebuilt_at") or 0)
        except ValueError:
            return math.inf

    def _take_over(self, *, lost: bool) -> None:
        """Merge the pins' file, remember a loss, forget what is long gone."""
        pins = self._pin_file()
        is_new = self._meta("created_at") is None
        said = pins.replay()
        unsaid = [pin for pin in self.pins() if pin.path not in said]
        if is_new:
            lost = lost or not pins.begin()
        for pin in unsaid:
            pins.append(pin, pinned=True)
        with self._writing():
            if is_new:
                self._set_meta("created_at", repr(time.time()))
            if lost:
                self._set_meta("rebuilt_at", repr(time.time()))
                self._connection.execute("DELETE FROM meta WHERE key LIKE 'confirmed:%'")
            for path, word in said.items():
                if word is None:
                    self._remove_pin(path)
                else:
                    self._store_pin(word)
            self._connection.execute(
                "DELETE FROM checkpoints WHERE state = 'gone' AND id NOT IN "
                "(SELECT id FROM checkpoints WHERE state = 'gone' ORDER BY seen DESC LIMIT ?)",
                (_OLD_ROWS,),
            )
            self._connection.execute(
                "DELETE FROM reports WHERE path NOT IN (SELECT path FROM checkpoints)"
            )
            self._connection.execute(
                "DELETE FROM prunes WHERE id NOT IN "
                "(SELECT id FROM prunes ORDER BY id DESC LIMIT ?)",
                (_OLD_ROWS,),
            )

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """All of it or nothing."""
        self._pin_file()
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise LedgerError(f"The ledger cannot be written: {explain(error)}") from None
        except OverflowError:
            raise LedgerError("A number is too large for the ledger.") from None
        finally:
            if self._connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")

    def _pin_file(self) -> PinFile:
        if self._pins is None:
            raise LedgerError("The ledger was opened for reading only.")
        return self._pins

    def _present(self, path: str) -> Entry:
        entry = self.entry(path)
        if entry is None:
            raise LedgerError(f"The ledger lost {path!r} while it was written.")
        return entry

    def _last_report(self, path: str, key: str) -> int | None:
        found = self._rows(
            "SELECT MAX(id) FROM reports WHERE path = ? AND key = ?", (rows.path_bytes(path), key)
        )
        return int(found[0][0]) if found[0][0] is not None else None

    def _store(
        self,
        checkpoint: Checkpoint,
        generation: Generation,
        state: State,
        message: str,
        report: int | None,
    ) -> None:
        path, now = rows.path_bytes(checkpoint.path), time.time()
        before = self._rows(
            "SELECT key, first_seen, seen, sequence FROM checkpoints WHERE path = ?", (path,)
        )
        first_seen = before[0][1] if before else now
        if before and before[0][0] == generation.key:
            seen, sequence = before[0][2:]
        else:
            seen = now
            sequence = self._rows("SELECT COALESCE(MAX(sequence), 0) + 1 FROM checkpoints")[0][0]
        self._put(
            {
                "path": path,
                "watch": checkpoint.watch,
                "series": rows.encode(checkpoint.series),
                "state": str(state),
                "key": generation.key,
                "size": min(generation.size_bytes, _MAX_INTEGER),
                "saved_at": generation.saved_at,
                "first_seen": first_seen,
                "seen": seen,
                "sequence": sequence,
                "checkpoint": rows.dump(checkpoint),
                "generation": rows.dump(generation),
                "message": rows.encode(message),
                "report": report,
            }
        )

    def _set_state(self, path: str, state: State) -> None:
        found = self._rows(
            f"SELECT {', '.join(rows.COLUMNS)} FROM checkpoints WHERE path = ?",  # noqa: S608 - ours
            (rows.path_bytes(path),),
        )
        if found:
            row = dict(zip(rows.COLUMNS, found[0], strict=True))
            del row["id"], row["seal"]
            self._put({**row, "state": str(state)})

    def _put(self, row: dict[str, Any]) -> None:
        names = rows.COLUMNS[1:-1]
        values = [row[name] for name in names]
        update = ", ".join(f"{name} = excluded.{name}" for name in (*names[1:], "seal"))
        self._connection.execute(
            f"INSERT INTO checkpoints ({', '.join(names)}, seal) "  # noqa: S608 - our own names
            f"VALUES ({', '.join('?' * len(names))}, ?) ON CONFLICT (path) DO UPDATE SET {update}",
            (*values, rows.seal(values)),
        )

    def _store_pin(self, pin: Pin) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO pins (path, note, at) VALUES (?, ?, ?)",
            (rows.path_bytes(pin.path), rows.encode(pin.note), pin.at),
        )

    def _remove_pin(self, path: str) -> None:
        self._connection.execute("DELETE FROM pins WHERE path = ?", (rows.path_bytes(path),))

    def _set_meta(self, key: str, value: str) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value)
        )
