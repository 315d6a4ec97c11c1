"""What the ledger raises, and the errors of SQLite as sentences that say what to do."""

from __future__ import annotations

import sqlite3


class LedgerError(Exception):
    """The ledger cannot be opened, read or written; the sentence says what to do."""


class NoLedgerError(LedgerError):
    """There is no ledger yet."""


def explain(error: sqlite3.Error) -> str:
    """Return the message of SQLite with what to do about it."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    cure = {
        sqlite3.SQLITE_FULL: "the disk is full, free some space for the state directory",
        sqlite3.SQLITE_IOERR: "the disk reports errors or is full, check the state directory",
        sqlite3.SQLITE_BUSY: "another process has been writing it for a long time, try again",
        sqlite3.SQLITE_READONLY: "it cannot be written, check its owner and mode",
        sqlite3.SQLITE_CANTOPEN: "be the daemon's user or in its group, "
        "or check the owner and mode of the state directory",
        sqlite3.SQLITE_CORRUPT: "restart the daemon, it sets the broken file aside",
        sqlite3.SQLITE_NOTADB: "restart the daemon, it sets the broken file aside",
    }.get(code, "check the state directory")
    return f"{error}; {cure}."
