"""Writes to systemd's journal in its own protocol, so that each fact of an event is a field.

    journalctl CHECKPOINTD_WATCH=resnet CHECKPOINTD_EVENT=invalid

Source: systemd.io/JOURNAL_NATIVE_PROTOCOL. A datagram holds the fields; what is too long for one is
passed in a sealed file in memory. The daemon never waits for journald: what does not fit into the
socket is counted, and the count is written with the next line that does.
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import logging
import os
import re
import socket
import struct
from typing import TYPE_CHECKING, Any

from checkpointd.core.text import printable, utf8

if TYPE_CHECKING:
    from collections.abc import Mapping

SOCKET = "/run/systemd/journal/socket"
_PREFIX = "CHECKPOINTD_"
_MAX_NAME = 64
_TEXT = 2000
_SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
_PLAIN = re.compile(r"[\w./:@%+,{}\[\]-]+")
_HIDDEN = frozenset({"event", "level", "timestamp", "logger"})
PRIORITIES = {"critical": 2, "error": 3, "warning": 4, "info": 6, "debug": 7}
"""What syslog calls each level."""


class JournalHandler(logging.Handler):
    """Sends records of structlog, and those of other libraries, to journald.

    Args:
        fallback: takes a record when journald cannot be reached.
        path: journald's socket.
    """

    def __init__(self, fallback: logging.Handler, path: str = SOCKET) -> None:
        super().__init__()
        self._fallback = fallback
        self._path = path
        self._lost = 0
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record."""
        try:
            facts = facts_of(record)
            if self._lost:
                facts["lost_before"] = self._lost
            self._send(datagram(fields_of(facts)))
            self._lost = 0
        except BlockingIOError:
            self._lost += 1
        except OSError:
            self._fallback.handle(record)
        except Exception:  # noqa: BLE001 - logging must not end what it is about
            self.handleError(record)

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendto(data, self._path)
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            self._send_file(data)

    def _send_file(self, data: bytes) -> None:
        file = os.memfd_create("journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            left = data
            while left:
                left = left[os.write(file, left) :]
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, _SEALS)
            rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file]))]
            self._socket.sendmsg([b""], rights, 0, self._path)
        finally:
            os.close(file)

    def close(self) -> None:
        """Close the socket."""
        with contextlib.suppress(OSError):
            self._socket.close()
        super().close()


def facts_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a record holds, with its traceback if it has one."""
    event: Any = record.msg
    facts = dict(event) if isinstance(event, dict) else {"event": record.getMessage()}
    facts.setdefault("level", record.levelname.lower())
    facts.setdefault("logger", record.name)
    error = facts.pop("exc_info", None) or record.exc_info
    if error:
        error = error if isinstance(error, tuple) else _info_of(error)
        facts["exception"] = logging.Formatter().formatException(error)
    return {key: value for key, value in facts.items() if not key.startswith("_")}


def _info_of(error: Any) -> Any:
    if isinstance(error, BaseException):
        return type(error), error, error.__traceback__
    import sys

    return sys.exc_info()


def fields_of(facts: Mapping[str, Any]) -> dict[str, str]:
    """Return the fields of an event: a message for people, and one for each fact."""
    level = str(facts.get("level"))
    fields = {
        "MESSAGE": message_of(facts),
        "PRIORITY": str(PRIORITIES.get(level, 6)),
        "SYSLOG_IDENTIFIER": "checkpointd",
    }
    for key, value in facts.items():
        if value is not None and value != "" and key not in ("level", "timestamp"):
            fields[_PREFIX + _name(key)] = utf8(_text(value))
    return fields


def message_of(facts: Mapping[str, Any]) -> str:
    """Return one line of text: the event and its facts, as `journalctl` prints it."""
    words = [printable(str(facts.get("event", "")))]
    for key, value in facts.items():
        if key not in _HIDDEN and key != "exception" and value is not None and value != "":
            text = printable(_text(value), _TEXT)
            words.append(f"{key}={text if _PLAIN.fullmatch(text) else repr(text)}")
    trace = facts.get("exception")
    return utf8(" ".join(words)) + (f"\n{utf8(str(trace))}" if trace else "")


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _name(key: str) -> str:
    """Return a key as a field is called: capital letters, digits and underscores."""
    return re.sub(r"[^A-Z0-9_]", "_", key.upper())[: _MAX_NAME - len(_PREFIX)]


def datagram(fields: Mapping[str, str]) -> bytes:
    """Write fields as journald reads them; one with a line break in it has its length first."""
    parts = []
    for name, text in fields.items():
        value = text.encode()
        if b"\n" in value:
            parts.append(name.encode() + b"\n" + struct.pack("<Q", len(value)) + value + b"\n")
        else:
            parts.append(name.encode() + b"=" + value + b"\n")
    return b"".join(parts)
