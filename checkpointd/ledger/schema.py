"""The ledger's file: opened, checked, brought up to date, or set aside if it is broken.

Paths are stored as `os.fsencode` gives them, other text that may hold pieces of a path as
`surrogatepass` UTF-8. `user_version` is the schema's version.
"""

from __future__ import annotations

import os
import sqlite3
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from checkpointd.ledger.facts import LedgerError, NoLedgerError
from checkpointd.ledger.pins import sync_directory
from checkpointd.ledger.rows import COLUMNS, sealed

if TYPE_CHECKING:
    from pathlib import Path

NAME = "ledger.sqlite"
_BUSY_SECONDS = 10.0

_MIGRATIONS = (
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
)
VERSION = len(_MIGRATIONS)

_OTHER_ROWS = (
    "SELECT key, CAST(value AS REAL) FROM meta",
    "SELECT id, path, watch, series, key, verdict, saved_at, step, finished_at FROM reports",
    "SELECT path, note, at FROM pins",
    "SELECT path, watch, at, rule, reason, size, item, restored_at FROM prunes",
)
_LATER_ROWS = {
    3: "SELECT path, key, at FROM scrubs",
    4: "SELECT report, metric, value, evaluated_by FROM evaluations",
}
"""Those that came with a version of the schema."""

_BROKEN = (
    sqlite3.SQLITE_ERROR,  # the schema's own text is damaged
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CONSTRAINT,
)


class _BrokenError(Exception):
    """The file is no ledger any more."""


def open_writable(state_dir: Path, *, version: int = VERSION) -> tuple[sqlite3.Connection, bool]:
    """Open the ledger for writing; a broken one is set aside and a new one made.

    Returns:
        The connection, and whether a ledger that was there is lost.

    Raises:
        LedgerError: it can neither be opened nor made.
    """
    path = state_dir / NAME
    lost = _leftovers(path)
    try:
        if lost:
            _set_aside(path)
        try:
            return _connect(path, version), lost
        except _BrokenError:
            _set_aside(path)
            return _connect(path, version), True
    except _BrokenError as error:
        raise LedgerError(f"A new ledger in {state_dir} is broken at once: {error}.") from None
    except sqlite3.Error as error:
        raise LedgerError(f"The ledger {path} cannot be opened: {explain(error)}") from None
    except OSError as error:
        raise LedgerError(f"The ledger {path} cannot be made: {error.strerror}.") from None


def open_readonly(state_dir: Path) -> sqlite3.Connection:
    """Open the ledger for reading, also while a daemon writes it.

    Raises:
        NoLedgerError: there is none, or one is being made right now.
        LedgerError: it cannot be read.
    """
    path = state_dir / NAME
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        raise _none_yet(state_dir) from None
    except OSError as error:
        raise LedgerError(
            f"The ledger {path} cannot be read: {error.strerror}; be the daemon's user or in its "
            "group."
        ) from None
    location = "file:" + quote(os.fsencode(path.absolute()))
    failure: sqlite3.Error | None = None
    # immutable: a directory that we may not write, of a daemon that has been stopped cleanly
    for options in ("?mode=ro", "?mode=ro&immutable=1"):
        connection = None
        try:
            connection = sqlite3.connect(location + options, uri=True, timeout=_BUSY_SECONDS)
            connection.isolation_level = None
            found = connection.execute("PRAGMA user_version").fetchone()[0]
            is_empty = not found and not _tables(connection)
        except sqlite3.Error as error:
            failure = failure or error
            if connection is not None:
                connection.close()
            if _size(path.with_name(NAME + "-wal")):
                break
            continue
        if found != VERSION:
            connection.close()
            if is_empty:
                raise _none_yet(state_dir)
            raise LedgerError(_other_version(path, found, VERSION))
        return connection
    raise LedgerError(
        f"The ledger {path} cannot be read: {explain(failure) if failure else 'no reason given.'}"
    )


def explain(error: sqlite3.Error) -> str:
    """What SQLite says, as a sentence that tells what to do."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    cure = {
        sqlite3.SQLITE_FULL: "the disk is full, make room in the state directory",
        sqlite3.SQLITE_IOERR: "the disk gives errors or is full, look at the state directory",
        sqlite3.SQLITE_BUSY: "another process has been writing it for long, try again",
        sqlite3.SQLITE_READONLY: "it may not be written, look at its owner and mode",
        sqlite3.SQLITE_CANTOPEN: "be the daemon's user or in its group, "
        "or look at the owner and mode of the state directory",
        sqlite3.SQLITE_CORRUPT: "restart the daemon, it sets the broken file aside",
        sqlite3.SQLITE_NOTADB: "restart the daemon, it sets the broken file aside",
    }.get(code, "look at the state directory")
    return f"{error}; {cure}."


def _connect(path: Path, version: int) -> sqlite3.Connection:
    if not path.exists():
        path.touch()  # readable for whom the umask says; SQLite gives its journal the same mode
        sync_directory(path.parent)
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
    connection.isolation_level = None
    try:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            _check(connection)
        except (sqlite3.Error, ValueError) as error:
            raise _judged(error) from None
        _migrate(connection, path, version)
        try:
            _check_schema(connection, version)
            _check_rows(connection, version)
        except (sqlite3.Error, ValueError) as error:
            raise _judged(error) from None
    except BaseException:
        connection.close()
        raise
    return connection


def _judged(error: Exception) -> Exception:
    """Tell a broken file from a disk that is full or a file that is locked."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    is_broken = code == sqlite3.SQLITE_IOERR_SHORT_READ or code & 0xFF in _BROKEN
    return _BrokenError(str(error)) if is_broken else error


def _check(connection: sqlite3.Connection) -> None:
    row = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if row is None or row[0] != "ok":
        raise _BrokenError(row[0] if row else "no answer to integrity_check")


def _migrate(connection: sqlite3.Connection, path: Path, version: int) -> None:
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found > version:
        raise LedgerError(_other_version(path, found, version))
    if found == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise _BrokenError("it has tables and no version")
    for number in range(found, version):
        connection.executescript(
            f"BEGIN IMMEDIATE; {_MIGRATIONS[number]}; PRAGMA user_version = {number + 1}; COMMIT;"
        )


def _check_schema(connection: sqlite3.Connection, version: int) -> None:
    """Compare tables and indexes with those of a ledger made this moment."""
    fresh = sqlite3.connect(":memory:")
    try:
        for migration in _MIGRATIONS[:version]:
            fresh.executescript(migration)
        if _tables(connection) != _tables(fresh):
            raise _BrokenError("its tables are not those of a ledger")
    finally:
        fresh.close()


def _tables(connection: sqlite3.Connection) -> set[tuple[str, ...]]:
    # sqlite_ tables are SQLite's own; it makes them when it needs them
    found = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master")
    return {row for row in found if not row[1].startswith("sqlite_")}


def _check_rows(connection: sqlite3.Connection, version: int) -> None:
    """Find flipped bits inside rows: SQLite's own check looks at the structure alone."""
    columns = ", ".join(COLUMNS)
    for row in connection.execute(f"SELECT {columns} FROM checkpoints"):  # noqa: S608 - our own names
        if not sealed(row):
            raise _BrokenError(f"row {row[0]} does not match its checksum")
    later = (names for since, names in _LATER_ROWS.items() if since <= version)
    for names in (*_OTHER_ROWS, *later):
        for _ in connection.execute(names):
            pass


def _leftovers(path: Path) -> bool:
    """Whether a ledger was here and its file is gone or empty: its journal may not be replayed."""
    if path.exists():
        return path.stat().st_size == 0 and not _size(path.with_name(path.name + "-wal"))
    return path.with_name(path.name + "-wal").exists()


def _set_aside(path: Path) -> None:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    target = path.with_name(f"{path.name}.broken-{stamp}")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.name}.broken-{stamp}-{number}")
    for suffix in ("-wal", "-shm", ""):
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(target.with_name(target.name + suffix))
    sync_directory(path.parent)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _none_yet(state_dir: Path) -> NoLedgerError:
    return NoLedgerError(
        f"There is no ledger in {state_dir} yet: has `checkpointd run` been started "
        "with this config?"
    )


def _other_version(path: Path, found: int, version: int) -> str:
    return (
        f"The ledger {path} has schema version {found}, this checkpointd knows {version}: "
        "use the checkpointd that wrote it, or start the newer one's daemon once."
    )
