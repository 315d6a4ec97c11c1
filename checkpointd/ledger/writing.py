"""How the ledger writes: in transactions, each row with its checksum."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import time
import zlib
from typing import TYPE_CHECKING, Any

from checkpointd.core.text import json_text
from checkpointd.ledger import rows, summaries, trashes
from checkpointd.ledger.changes import Change, ChangeKind
from checkpointd.ledger.clock import Ages, Clock
from checkpointd.ledger.errors import LedgerError, explain
from checkpointd.ledger.facts import ABSENT, Pin, State
from checkpointd.ledger.trust_reading import TrustReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from checkpointd.core.checkpoint import Checkpoint, Generation
    from checkpointd.core.report import Report
    from checkpointd.ledger.pins import PinFile
    from checkpointd.ledger.trashes import KnownTrash

_MAX_INTEGER = 2**63 - 1
_REPORTS_PER_PATH = 20
MOST_PENDING = 1000
"""How many events of one watch may wait for its hooks; beyond that the oldest are dropped."""

WANTED_HOOKS = "hooks"
"""The key of what each watch has hooks for."""

_STATES = frozenset(State)
_LISTINGS = 4096
"""How many listings' findings are remembered; the last of them may settle hours later."""


class Writer(TrustReader):
    """The rows of a ledger that is open for writing; it collects what each write changed."""

    def __init__(self, connection: sqlite3.Connection, pins: PinFile | None) -> None:
        super().__init__(connection)
        self._pins = pins
        self._changes: list[Change] = []
        self._uncommitted: list[Change] = []
        self._listings: dict[int, int] = {}

    def take_changes(self) -> list[Change]:
        """Return what was changed since this was last called, oldest first."""
        changes, self._changes = self._changes, []
        return changes

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """Open a transaction: all of it is written, or nothing."""
        self._pin_file()
        self._uncommitted = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            yield
            self._connection.execute("COMMIT")
            self._changes += self._uncommitted
        except sqlite3.Error as error:
            raise LedgerError(f"The ledger cannot be written: {explain(error)}") from None
        except OverflowError:
            raise LedgerError("A number is too large for the ledger.") from None
        finally:
            if self._connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")

    def advance_clock(self) -> Ages:
        """Read the clocks of the machine and store them; returns how old stored times are now.

        Called at least once a minute: a jump of the wall clock is placed between two readings.
        """
        reading = self.read_clocks()
        stored = self._meta("clock")
        clock = Clock.from_json(stored) if stored else None
        after = Clock.begin(reading) if clock is None else clock.advanced(reading)
        if clock is None or clock.is_outdated_by(after):
            with self._writing():
                self._set_meta("clock", after.to_json())
        return after

    def record_trash(self, trash: KnownTrash) -> None:
        """Record that checkpoints of a watch are moved to a trash; nothing if that is known."""
        if trash not in self.trashes():
            with self._writing():
                self._set_meta(_trash_key(trash.directory), trashes.dump(trash))

    def record_trash_ttl(self, watch: str, ttl: trashes.TrashTtl) -> None:
        """Record for how long items of the trash of a watch stay."""
        with self._writing():
            self._set_meta(f"trash_ttl:{watch}", trashes.dump_ttl(ttl))

    def forget_trash(self, directory: str) -> None:
        """Forget a trash that is empty."""
        with self._writing():
            self._connection.execute("DELETE FROM meta WHERE key = ?", (_trash_key(directory),))

    def record_enforced_policy(self, watch: str, digest: str) -> None:
        """Record under which policy a watch has been pruned."""
        with self._writing():
            self._set_meta(f"policy:{watch}", digest)

    def _pin_file(self) -> PinFile:
        if self._pins is None:
            raise LedgerError("The ledger was opened for reading only.")
        return self._pins

    def _keep_report(self, report: Report) -> int | None:
        path = rows.path_bytes(report.checkpoint.path)
        step = report.checkpoint.step
        step = report.facts.step if step is None else step
        number = self._connection.execute(
            "INSERT INTO reports (path, watch, series, key, verdict, saved_at, step, "
            "finished_at, body, digest) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
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
                report.facts.digest,
            ),
        ).lastrowid
        self._connection.execute(summaries.INSERT, summaries.row_of(number, report))
        self._connection.executemany(
            "INSERT INTO evaluations (report, metric, value, evaluated_by) VALUES (?, ?, ?, ?)",
            rows.evaluations(number, report.facts),
        )
        self._connection.execute(
            "DELETE FROM reports WHERE path = ? AND id NOT IN "
            "(SELECT id FROM reports WHERE path = ? ORDER BY id DESC LIMIT ?)",
            (path, path, _REPORTS_PER_PATH),
        )
        about = report.checkpoint
        for event in ("on_verdict", *(["on_valid"] if report.verdict == "valid" else [])):
            self._queue_hook(about.watch, event, about.path, report.to_public)
        return number

    def _queue_hook(
        self, watch: str, event: str, path: str, payload: Callable[[], Mapping[str, Any]]
    ) -> None:
        """Add an event to the queue of hooks, if its watch has one for it."""
        wanted = self._meta(WANTED_HOOKS)
        if not wanted or event not in json.loads(wanted).get(watch, ()):
            return
        self._connection.execute(
            "UPDATE hooks SET given_up = 1, error = ? WHERE watch = ? AND given_up = 0 AND id <= "
            "(SELECT id FROM hooks WHERE watch = ? AND given_up = 0 ORDER BY id DESC "
            "LIMIT 1 OFFSET ?)",
            (rows.encode("too many events waited"), watch, watch, MOST_PENDING - 1),
        )
        self._connection.execute(
            "INSERT INTO hooks (watch, event, path, payload, queued_at, attempts, next_at, error, "
            "given_up) VALUES (?, ?, ?, ?, ?, 0, 0, ?, 0)",
            (
                watch,
                event,
                rows.path_bytes(path),
                zlib.compress(json_text(payload()).encode()),
                time.time(),
                b"",
            ),
        )

    def _last_report(self, path: str, key: str) -> int | None:
        selected = self._rows(
            "SELECT MAX(id) FROM reports WHERE path = ? AND key = ?", (rows.path_bytes(path), key)
        )
        return int(selected[0][0]) if selected[0][0] is not None else None

    def _store(
        self,
        kind: ChangeKind,
        checkpoint: Checkpoint,
        generation: Generation,
        state: State,
        message: str,
        report: int | None,
        listing: int = 0,
    ) -> None:
        path, now = rows.path_bytes(checkpoint.path), time.time()
        before = self._rows(
            "SELECT key, first_seen, seen, sequence, state FROM checkpoints WHERE path = ?", (path,)
        )
        first_seen = before[0][1] if before else now
        if before and before[0][0] == generation.key and before[0][4] not in ABSENT:
            seen, sequence = before[0][2:4]
        else:  # also what was copied back: it is new here
            seen, sequence = now, self._next_sequence(listing)
        self._put(
            kind,
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
            },
        )
        if report is not None:
            self._connection.execute(
                "UPDATE reports SET sequence = ? WHERE id = ? AND sequence = 0", (sequence, report)
            )

    def _next_sequence(self, listing: int) -> int:
        """The place of new content; the same for all that one listing found (0: not known)."""
        if listing in self._listings:
            return self._listings[listing]
        number = int(self._rows("SELECT COALESCE(MAX(sequence), 0) + 1 FROM checkpoints")[0][0])
        if listing:
            self._listings[listing] = number
            if len(self._listings) > _LISTINGS:
                del self._listings[next(iter(self._listings))]
        return number

    def _set_state(self, kind: ChangeKind, path: str, state: State) -> None:
        selected = self._rows(
            f"SELECT {', '.join(rows.COLUMNS)} FROM checkpoints WHERE path = ?",  # noqa: S608 - ours
            (rows.path_bytes(path),),
        )
        if selected:
            row = dict(zip(rows.COLUMNS, selected[0], strict=True))
            del row["id"], row["seal"]
            self._put(kind, {**row, "state": str(state)})

    def _put(self, kind: ChangeKind, row: dict[str, Any]) -> None:
        self._note_change(kind, row)
        names = rows.COLUMNS[1:-1]
        values = [row[name] for name in names]
        update = ", ".join(f"{name} = excluded.{name}" for name in (*names[1:], "seal"))
        self._connection.execute(
            f"INSERT INTO checkpoints ({', '.join(names)}, seal) "  # noqa: S608 - our own names
            f"VALUES ({', '.join('?' * len(names))}, ?) ON CONFLICT (path) DO UPDATE SET {update}",
            (*values, rows.seal(values)),
        )

    def _note_change(self, kind: ChangeKind, row: dict[str, Any]) -> None:
        """Collect a change: of one series, or of the series that it leaves and of the next one."""
        selected = self._rows(
            "SELECT watch, series, state FROM checkpoints WHERE path = ?", (row["path"],)
        )
        series_key, after = (row["watch"], rows.text_of(row["series"])), State(row["state"])
        if not selected:
            self._uncommitted.append(Change(kind, *series_key, None, after))
            return
        watch, series = selected[0][0], rows.text_of(selected[0][1])
        before = State(selected[0][2]) if selected[0][2] in _STATES else None
        if (watch, series) == series_key:
            self._uncommitted.append(Change(kind, *series_key, before, after))
        else:
            self._uncommitted.append(Change(kind, watch, series, before, None))
            self._uncommitted.append(Change(kind, *series_key, None, after))

    def _note_pins(self, path: str) -> None:
        selected = self._rows(
            "SELECT watch, series FROM checkpoints WHERE path = ?", (rows.path_bytes(path),)
        )
        watch, series = (selected[0][0], rows.text_of(selected[0][1])) if selected else ("", "")
        self._uncommitted.append(Change(ChangeKind.PINS, watch, series))

    def _store_pin(self, pin: Pin) -> None:
        self._note_pins(pin.path)
        if pin.tag:
            self._connection.execute(
                "INSERT OR REPLACE INTO tags (path, tag, at, id) VALUES (?, ?, ?, ?)",
                (rows.path_bytes(pin.path), pin.tag, pin.at, pin.identity),
            )
            return
        self._connection.execute(
            "INSERT OR REPLACE INTO pins (path, note, at, id) VALUES (?, ?, ?, ?)",
            (rows.path_bytes(pin.path), rows.encode(pin.note), pin.at, pin.identity),
        )

    def _remove_pin(self, key: tuple[str, str], identities: Iterable[str]) -> None:
        path, tag = key
        self._note_pins(path)
        if tag:
            self._connection.execute(
                "DELETE FROM tags WHERE path = ? AND tag = ?", (rows.path_bytes(path), tag)
            )
        else:
            self._connection.execute("DELETE FROM pins WHERE path = ?", (rows.path_bytes(path),))
        self._connection.executemany(
            "INSERT OR IGNORE INTO unpinned (id) VALUES (?)", [(one,) for one in identities]
        )

    def _set_meta(self, key: str, value: str) -> None:
        self._connection.execute(
            "INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value)
        )


def _trash_key(directory: str) -> str:
    return "trash:" + hashlib.sha256(rows.path_bytes(directory)).hexdigest()[:32]
