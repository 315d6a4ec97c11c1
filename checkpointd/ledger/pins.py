"""The file of pins and tags: append-only and fsynced, so that they survive a lost ledger.

One JSON object a line: `{"op": "pin" | "unpin", "path": …, "note": …, "at": seconds, "id": …,
"crc": …}`, with the CRC-32 of the line without it; lines of earlier versions have neither id nor
checksum. Tags have `"op": "tag" | "untag"` and `"tag": …`; earlier versions skip them. A last line
that a crash cut short is ignored, every other one that cannot be read is counted.
"""

from __future__ import annotations

import errno
import json
import os
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from checkpointd.core.tags import why_no_tag
from checkpointd.ledger.errors import LedgerError
from checkpointd.ledger.facts import Pin

if TYPE_CHECKING:
    from pathlib import Path

_OPERATIONS = {
    "pin": (True, False),
    "unpin": (False, False),
    "tag": (True, True),
    "untag": (False, True),
}
"""Whether each adds, and whether it is about a tag."""


@dataclass
class Replay:
    """What the file says: the last entry of each path and tag (None once removed).

    `removed` are the ids of all that was ever removed, `damaged` counts lines that cannot be read.
    """

    last: dict[tuple[str, str], Pin | None] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    damaged: int = 0


class PinFile:
    """What was pinned and unpinned, tagged and untagged, in order."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def replay(self) -> Replay:
        """Read all of it.

        Raises:
            LedgerError: the file is there and cannot be read.
        """
        result = Replay()
        try:
            *lines, torn = self._path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return result
        except OSError as error:
            raise LedgerError(
                f"{self._path} cannot be read ({error.strerror}); without it pins could be "
                "forgotten, so make it readable first."
            ) from None
        for line in (*lines, torn):
            try:
                pin, pinned = _parse(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError):
                result.damaged += bool(line) and line is not torn
                continue
            result.last[pin.key] = pin if pinned else None
            if not pinned:
                result.removed.add(pin.identity)
        return result

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
        entry: dict[str, Any] = {
            "op": ("" if pinned else "un") + ("tag" if pin.tag else "pin"),
            "path": pin.path,
            "note": pin.note,
            "at": pin.at,
            "id": pin.identity,
        }
        if pin.tag:
            entry["tag"] = pin.tag
        line = json.dumps({**entry, "crc": _checksum(entry)})
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


def _parse(data: Any) -> tuple[Pin, bool]:
    crc = data.pop("crc", None)
    if crc is not None and crc != _checksum(data):
        raise ValueError("checksum")
    path, note, at = data["path"], data.get("note", ""), float(data.get("at", 0.0))
    if not isinstance(path, str):
        raise TypeError("path")
    pinned, is_tag = _OPERATIONS[data["op"]]
    tag = data["tag"] if is_tag else ""
    if is_tag and why_no_tag(tag):
        raise ValueError("tag")
    return Pin(path, str(note), at, str(data.get("id", "")), tag), pinned


def _checksum(data: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(data, sort_keys=True).encode())


def sync_directory(path: Path) -> None:
    """Flush a directory, so that created and renamed files survive a power cut."""
    file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
