"""The ledger's file: opened, checked, brought up to date, or set aside if it is broken."""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import quote

from checkpointd.core.permissions import cure_of_denial
from checkpointd.ledger.errors import LedgerError, NoLedgerError, explain
from checkpointd.ledger.pins import sync_directory
from checkpointd.ledger.schema import (
    VERSION,
    BrokenLedgerError,
    check_file,
    check_rows,
    check_schema,
    migrate,
    other_version,
    tables_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "ledger.sqlite"
_BUSY_SECONDS = 10.0

_BROKEN = (
    sqlite3.SQLITE_ERROR,  # the schema's own text is damaged
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CONSTRAINT,
)


def open_writable(state_dir: Path, *, version: int = VERSION) -> tuple[sqlite3.Connection, bool]:
    """Open the ledger for writing; a broken one is set aside and a new one created.

    Returns:
        The connection, and whether a ledger that was there is lost.

    Raises:
        LedgerError: it can neither be opened nor created.
    """
    path = state_dir / NAME
    lost = _leftovers(path)
    try:
        if lost:
            _set_aside(path)
        try:
            return _connect(path, version), lost
        except BrokenLedgerError:
            _set_aside(path)
            return _connect(path, version), True
    except BrokenLedgerError as error:
        raise LedgerError(f"A new ledger in {state_dir} is broken at once: {error}.") from None
    except sqlite3.Error as error:
        raise LedgerError(f"The ledger {path} cannot be opened: {explain(error)}") from None
    except OSError as error:
        raise LedgerError(f"The ledger {path} cannot be created: {error.strerror}.") from None


def open_readonly(state_dir: Path) -> sqlite3.Connection:
    """Open the ledger for reading, also while a daemon writes it.

    Raises:
        NoLedgerError: there is none, or one is being created right now.
        LedgerError: it cannot be read.
    """
    path = state_dir / NAME
    _must_be_readable(path)
    location = "file:" + quote(os.fsencode(path.absolute()))
    failure: sqlite3.Error | None = None
    # immutable: a directory that we may not write, of a daemon that has been stopped cleanly
    for options in ("?mode=ro", "?mode=ro&immutable=1"):
        connection = None
        try:
            connection = sqlite3.connect(location + options, uri=True, timeout=_BUSY_SECONDS)
            connection.isolation_level = None
            stored_version = connection.execute("PRAGMA user_version").fetchone()[0]
            is_empty = not stored_version and not tables_of(connection)
        except sqlite3.Error as error:
            failure = failure or error
            if connection is not None:
                connection.close()
            if _size(path.with_name(NAME + "-wal")):
                break
            continue
        if stored_version != VERSION:
            connection.close()
            if is_empty:
                raise _none_yet(state_dir)
            raise LedgerError(other_version(path, stored_version, VERSION))
        return connection
    raise LedgerError(
        f"The ledger {path} cannot be read: {explain(failure) if failure else 'unknown error.'}"
    )


def _connect(path: Path, version: int) -> sqlite3.Connection:
    if not path.exists():
        path.touch()  # the umask decides who may read it; SQLite gives its journal the same mode
        sync_directory(path.parent)
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
    connection.isolation_level = None
    try:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            is_current = connection.execute("PRAGMA user_version").fetchone()[0] == version
            if not is_current:
                check_file(connection)
            _check_header(connection, path)
        except (sqlite3.Error, ValueError) as error:
            raise _judged(error) from None
        migrate(connection, path, version)
        try:
            with _file_checked(path) if is_current else contextlib.nullcontext():
                check_schema(connection, version)
                connection.execute("SELECT key, value FROM meta").fetchall()  # each is text
                check_rows(connection, version)
        except (sqlite3.Error, ValueError) as error:
            raise _judged(error) from None
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _file_checked(path: Path) -> Iterator[None]:
    """Have SQLite check the structure of the file meanwhile: that takes long, and no Python.

    Raises:
        BrokenLedgerError: it is damaged.
        sqlite3.Error: it cannot be read.
    """
    errors = list[Exception]()

    def check() -> None:
        try:
            with contextlib.closing(sqlite3.connect(path, timeout=_BUSY_SECONDS)) as connection:
                check_file(connection)
        except (sqlite3.Error, BrokenLedgerError) as error:
            errors.append(error)

    thread = threading.Thread(target=check, name="ledger-check")
    thread.start()
    try:
        yield
    finally:
        thread.join()
    if errors:
        raise errors[0]


def _check_header(connection: sqlite3.Connection, path: Path) -> None:
    """Find a flipped bit in the header that makes SQLite refuse every write.

    Raises:
        BrokenLedgerError: SQLite calls the file read-only, and the system does not.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        connection.execute(f"PRAGMA user_version = {version}")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_READONLY and os.access(path, os.W_OK):
            raise BrokenLedgerError("its header marks it as read-only") from None
        raise
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _judged(error: Exception) -> Exception:
    """Distinguish a broken file from a full disk and from a locked file."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    is_broken = code == sqlite3.SQLITE_IOERR_SHORT_READ or code & 0xFF in _BROKEN
    return BrokenLedgerError(str(error)) if is_broken else error


def _leftovers(path: Path) -> bool:
    """Whether a ledger was here and its file is lost or empty: its journal must not be replayed."""
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


def _must_be_readable(path: Path) -> None:
    """Refuse a file that is not there, or that this user may not read.

    Raises:
        NoLedgerError: there is none.
        LedgerError: it cannot be read.
    """
    try:
        path.stat()
        may_read = os.access(path, os.R_OK, effective_ids=True)
    except (FileNotFoundError, NotADirectoryError):
        raise _none_yet(path.parent) from None
    except PermissionError:
        may_read = False
    except OSError as error:
        raise LedgerError(f"The ledger {path} cannot be read: {error.strerror}.") from None
    if not may_read:
        denied = os.strerror(errno.EACCES)
        raise LedgerError(f"The ledger {path} cannot be read: {denied}. {cure_of_denial(path)}")


def _none_yet(state_dir: Path) -> NoLedgerError:
    return NoLedgerError(
        f"There is no ledger in {state_dir} yet: has `checkpointd run` been started "
        "with this config?"
    )
