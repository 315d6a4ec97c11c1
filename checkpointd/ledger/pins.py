"""The file of pins: append-only and fsynced, so that a pin survives a lost ledger.

One JSON object a line: `{"op": "pin" | "unpin", "path": …, "note": …, "at": seconds}`. A last line
that a crash cut short is ignored.
"""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING

from checkpointd.ledger.errors import LedgerError
from checkpointd.ledger.facts import Pin

if TYPE_CHECKING:
    from pathlib import Path


class PinFile:
    """What was pinned and unpinned, in order."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def replay(self) -> dict[str, Pin | None]:
        """The last entry of each path: its pin, or None after an unpin.

        Raises:
            LedgerError: the file is there and cannot be read.
        """
        try:
            lines = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise LedgerError(
                f"{self._path} cannot be read ({error.strerror}); without it pins could be "
                "forgotten, so make it readable first."
            ) from None
        last: dict[str, Pin | None] = {}
        for line in lines:
            try:
                data = json.loads(line)
                path, note, at = data["path"], data.get("note", ""), float(data.get("at", 0.0))
                pinned = {"pin": True, "unpin": False}[data["op"]]
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
            if isinstance(path, str):
                last[path] = Pin(path, str(note), at) if pinned else None
        return last

    def begin(self) -> bool:
        """Create the file, empty; False if there already is one, so that there was a ledger too.

        Raises:
            LedgerError: it cannot be created.
        """
        try:
            with self._path.open("xb") as file:
                os.fsync(file.fileno())
            sync_directory(self._path.parent)
        except FileExistsError:
            return False
        except OSError as error:
            raise LedgerError(f"{self._path} cannot be created: {error.strerror}.") from None
        return True

    def append(self, pin: Pin, *, pinned: bool) -> None:
        """Append one change; it is on disk when this returns.

        Raises:
            LedgerError: it could not be written.
        """
        op = "pin" if pinned else "unpin"
        line = json.dumps({"op": op, "path": pin.path, "note": pin.note, "at": pin.at})
        try:
            is_new = not self._path.exists()
            file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                size = os.fstat(file).st_size
                torn = size > 0 and os.pread(file, 1, size - 1) != b"\n"
                data = b"\n" * torn + line.encode() + b"\n"
                if os.write(file, data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file)
            finally:
                os.close(file)
            if is_new:
                sync_directory(self._path.parent)
        except OSError as error:
            raise LedgerError(
                f"The pin could not be written to {self._path}: {error.strerror}."
            ) from None


def sync_directory(path: Path) -> None:
    """Flush a directory, so that created and renamed files survive a power cut."""
    file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
