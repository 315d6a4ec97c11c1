"""The tables of the ledger: how they came to be, version by version, and what is checked of them.

Paths are stored as `os.fsencode` gives them, other text that may hold parts of a path as
`surrogatepass` UTF-8. `user_version` is the schema's version.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from checkpointd.ledger.errors import LedgerError
from checkpointd.ledger.rows import COLUMNS, sealed

if TYPE_CHECKING:
    from pathlib import Path

MIGRATIONS = (
    """
    CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE checkpoints (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        path BLOB NOT NULL UNIQUE,
        watch TEXT NOT NULL,
        series BLOB NOT NULL,
        state TEXT NOT NULL,
        key TEXT NOT NULL,
        size INTEGER NOT NULL,
        saved_at REAL NOT NULL,
        first_seen REAL NOT NULL,
        seen REAL NOT NULL,
        sequence INTEGER NOT NULL,
        checkpoint TEXT NOT NULL,
        generation TEXT NOT NULL,
        message BLOB NOT NULL,
        report INTEGER,
        seal INTEGER NOT NULL
    );
    CREATE INDEX checkpoints_by_series ON checkpoints (watch, series, saved_at);
    CREATE INDEX checkpoints_by_time ON checkpoints (saved_at);
    CREATE INDEX checkpoints_by_report ON checkpoints (report);
    CREATE INDEX checkpoints_by_sequence ON checkpoints (sequence);
    CREATE TABLE reports (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        path BLOB NOT NULL,
        watch TEXT NOT NULL,
        series BLOB NOT NULL,
        key TEXT NOT NULL,
        verdict TEXT NOT NULL,
        saved_at REAL NOT NULL,
        step INTEGER,
        finished_at REAL NOT NULL,
        body BLOB NOT NULL
    );
    CREATE INDEX reports_by_path ON reports (path, id);
    CREATE INDEX reports_by_series ON reports (watch, series, verdict, saved_at, step);
    CREATE INDEX reports_newest ON reports (watch, series, id);
    CREATE TABLE pins (path BLOB PRIMARY KEY, note BLOB NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
    CREATE TABLE prunes (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        path BLOB NOT NULL,
        watch TEXT NOT NULL,
        at REAL NOT NULL,
        rule TEXT NOT NULL,
        reason BLOB NOT NULL,
        size INTEGER NOT NULL,
        item TEXT NOT NULL UNIQUE,
        restored_at REAL
    );
    CREATE INDEX prunes_by_path ON prunes (path, id);
    """,
    "CREATE INDEX checkpoints_by_state ON checkpoints (state, watch, saved_at)",
    """
    CREATE TABLE scrubs (
        path BLOB PRIMARY KEY, key TEXT NOT NULL, at REAL NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE evaluations (
        report INTEGER NOT NULL,
        metric TEXT NOT NULL,
        value REAL NOT NULL,
        evaluated_by TEXT NOT NULL,
        PRIMARY KEY (report, metric)
    ) WITHOUT ROWID;
    CREATE TRIGGER evaluations_go_with_reports AFTER DELETE ON reports
    BEGIN DELETE FROM evaluations WHERE report = OLD.id; END;
    """,
    """
    ALTER TABLE pins ADD COLUMN id TEXT NOT NULL DEFAULT '';
    CREATE TABLE unpinned (id TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE roots (
        watch TEXT PRIMARY KEY, path BLOB NOT NULL, device TEXT NOT NULL, inode TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE unread (path BLOB PRIMARY KEY) WITHOUT ROWID;
    CREATE TRIGGER unread_ends_with_a_scrub AFTER INSERT ON scrubs
    BEGIN DELETE FROM unread WHERE path = NEW.path; END;
    CREATE TRIGGER unread_ends_with_a_report AFTER INSERT ON reports
    BEGIN DELETE FROM unread WHERE path = NEW.path; END;
    """,
    # Until now `sequence` did not tell which were found in one listing: all of them, to be safe.
    """
    INSERT INTO meta (key, value)
    SELECT 'found_together', CAST(COALESCE(MAX(sequence), 0) AS TEXT) FROM checkpoints
    """,
    """
    CREATE TABLE tags (
        path BLOB NOT NULL, tag TEXT NOT NULL, at REAL NOT NULL, id TEXT NOT NULL,
        PRIMARY KEY (path, tag)
    ) WITHOUT ROWID
    """,
    """
    ALTER TABLE reports ADD COLUMN digest TEXT NOT NULL DEFAULT '';
    ALTER TABLE reports ADD COLUMN sequence INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX reports_by_digest ON reports (digest)
    """,
    """
    CREATE TABLE hooks (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        watch TEXT NOT NULL,
        event TEXT NOT NULL,
        path BLOB NOT NULL,
        payload BLOB NOT NULL,
        queued_at REAL NOT NULL,
        attempts INTEGER NOT NULL,
        next_at REAL NOT NULL,
        error BLOB NOT NULL,
        given_up INTEGER NOT NULL
    );
    CREATE INDEX hooks_by_watch ON hooks (watch, given_up, attempts, id);
    """,
    # Rows for the reports that are there already are added later: to read them takes minutes.
    """
    CREATE TABLE summaries (
        report INTEGER PRIMARY KEY,
        verdict TEXT NOT NULL,
        reason TEXT NOT NULL,
        message BLOB NOT NULL,
        shown TEXT NOT NULL,
        settings TEXT NOT NULL,
        finished_at REAL NOT NULL,
        duration REAL NOT NULL,
        model TEXT NOT NULL,
        measured TEXT NOT NULL,
        seal INTEGER NOT NULL
    );
    CREATE TRIGGER summaries_go_with_reports AFTER DELETE ON reports
    BEGIN DELETE FROM summaries WHERE report = OLD.id; END;
    """,
    """
    CREATE TABLE bucket_removals (
        item TEXT PRIMARY KEY,
        path BLOB NOT NULL,
        watch TEXT NOT NULL,
        at REAL NOT NULL,
        stage TEXT NOT NULL,
        body BLOB NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE replicas (
        path BLOB PRIMARY KEY,
        watch TEXT NOT NULL,
        destination TEXT NOT NULL,
        url TEXT NOT NULL,
        key TEXT NOT NULL,
        digest TEXT NOT NULL,
        size INTEGER NOT NULL,
        objects TEXT NOT NULL,
        at REAL NOT NULL,
        seen_at REAL NOT NULL
    ) WITHOUT ROWID
    """,
)
VERSION = len(MIGRATIONS)

_OTHER_ROWS = (
    "SELECT key, CAST(value AS REAL) FROM meta",
    "SELECT id, path, watch, series, key, verdict, saved_at, step, finished_at FROM reports",
    "SELECT path, note, at FROM pins",
    "SELECT path, watch, at, rule, reason, size, item, restored_at FROM prunes",
)
_LATER_ROWS = {
    3: "SELECT path, key, at FROM scrubs",
    4: "SELECT report, metric, value, evaluated_by FROM evaluations",
    5: "SELECT watch, path, device, inode FROM roots",
    7: "SELECT path, tag, at, id FROM tags",
    9: "SELECT id, watch, event, path, queued_at, attempts, next_at, given_up FROM hooks",
    10: "SELECT * FROM summaries",
    11: "SELECT item, path, watch, at, stage, body FROM bucket_removals",
    12: "SELECT * FROM replicas",
}
"""Those that came with a version of the schema."""


class BrokenLedgerError(Exception):
    """The file is not a ledger any more."""


def check_file(connection: sqlite3.Connection) -> None:
    """Have SQLite check the structure of the file.

    Raises:
        BrokenLedgerError: it is damaged.
    """
    row = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if row is None or row[0] != "ok":
        raise BrokenLedgerError(row[0] if row else "no answer to integrity_check")


def migrate(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Bring an older file up to a version of the schema.

    Raises:
        LedgerError: a newer checkpointd wrote it.
        BrokenLedgerError: it is not a ledger.
    """
    stored_version = connection.execute("PRAGMA user_version").fetchone()[0]
    if stored_version > version:
        raise LedgerError(other_version(path, stored_version, version))
    if (
        stored_version == 0
        and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    ):
        raise BrokenLedgerError("it has tables and no version")
    for number in range(stored_version, version):
        connection.executescript(
            f"BEGIN IMMEDIATE; {MIGRATIONS[number]}; PRAGMA user_version = {number + 1}; COMMIT;"
        )


def check_schema(connection: sqlite3.Connection, version: int) -> None:
    """Compare tables and indexes with those of a new ledger.

    Raises:
        BrokenLedgerError: they differ.
    """
    fresh = sqlite3.connect(":memory:")
    try:
        for migration in MIGRATIONS[:version]:
            fresh.executescript(migration)
        if tables_of(connection) != tables_of(fresh):
            raise BrokenLedgerError("its tables are not those of a ledger")
    finally:
        fresh.close()


def tables_of(connection: sqlite3.Connection) -> set[tuple[str, ...]]:
    """The tables and indexes of a file, without those that SQLite creates for itself."""
    found = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
    return {row for row in found if not str(row[1]).startswith("sqlite_")}


def check_rows(connection: sqlite3.Connection, version: int) -> None:
    """Find flipped bits inside rows, which the check of the structure does not see.

    Raises:
        BrokenLedgerError: a row does not match its checksum.
    """
    columns = ", ".join(COLUMNS)
    for row in connection.execute(f"SELECT {columns} FROM checkpoints"):  # noqa: S608 - our own names
        if not sealed(row):
            raise BrokenLedgerError(f"row {row[0]} does not match its checksum")
    later = (names for since, names in _LATER_ROWS.items() if since <= version)
    for names in (*_OTHER_ROWS, *later):
        for _ in connection.execute(names):
            pass


def other_version(path: Path, stored_version: int, version: int) -> str:
    """The message about a file that has another version of the schema."""
    return (
        f"The ledger {path} has schema version {stored_version}, this checkpointd knows {version}: "
        "use the checkpointd that wrote it, or start the newer one's daemon once."
    )
