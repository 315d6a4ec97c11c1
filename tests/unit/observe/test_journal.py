"""What journald receives, by a socket like its own."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from checkpointd.observe.journal import JournalHandler, datagram, fields_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EVENT = {"event": "invalid", "level": "warning", "watch": "resnet", "path": "/w/a b", "step": 3}


def record(facts: dict[str, Any] | str, *arguments: object) -> logging.LogRecord:
    """A record as structlog makes it, or another library."""
    return logging.LogRecord("l", logging.WARNING, "f", 1, facts, arguments, None)  # type: ignore[arg-type]


def read(data: bytes) -> dict[str, str]:
    """Read a datagram as journald does."""
    fields = {}
    while data:
        line, _, data = data.partition(b"\n")
        name, is_text, value = line.partition(b"=")
        if not is_text:
            (size,) = struct.unpack("<Q", data[:8])
            value, data = data[8 : 8 + size], data[9 + size :]
        fields[name.decode()] = value.decode()
    return fields


@contextmanager
def journald(path: Path) -> Iterator[socket.socket]:
    """A socket that receives datagrams."""
    server = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    server.bind(str(path))
    server.settimeout(10)
    try:
        yield server
    finally:
        server.close()


def received(server: socket.socket) -> dict[str, str]:
    """The fields of the next message, in the datagram or in a sealed file."""
    data, descriptors, _, _ = socket.recv_fds(server, 1 << 20, 1)
    if descriptors:
        with open(descriptors[0], "rb") as file:
            file.seek(0)
            data = file.read()
    return read(data)


@pytest.fixture
def handler(tmp_path: Path) -> Iterator[JournalHandler]:
    """A handler for `journal` below the directory of the test."""
    made = JournalHandler(logging.NullHandler(), str(tmp_path / "journal"))
    yield made
    made.close()


def test_each_fact_is_a_field_and_the_message_has_all(
    handler: JournalHandler, tmp_path: Path
) -> None:
    """`journalctl CHECKPOINTD_WATCH=resnet`, and one grep for the path."""
    with journald(tmp_path / "journal") as server:
        handler.handle(record(EVENT))
        assert received(server) == {
            "MESSAGE": "invalid watch=resnet path='/w/a b' step=3",
            "PRIORITY": "4",
            "SYSLOG_IDENTIFIER": "checkpointd",
            "CHECKPOINTD_EVENT": "invalid",
            "CHECKPOINTD_WATCH": "resnet",
            "CHECKPOINTD_PATH": "/w/a b",
            "CHECKPOINTD_STEP": "3",
            "CHECKPOINTD_LOGGER": "l",
        }
        handler.handle(record("overflow in %s", "x"))
        assert received(server)["MESSAGE"] == "overflow in x"


def test_a_message_too_large_for_a_datagram_is_passed_as_a_file(
    handler: JournalHandler, tmp_path: Path
) -> None:
    """No fact is cut off."""
    with journald(tmp_path / "journal") as server:
        handler.handle(record({**EVENT, "details": "x" * 5_000_000}))
        found = received(server)
    assert len(found["CHECKPOINTD_DETAILS"]) == 5_000_000
    assert len(found["MESSAGE"]) < 3000


def test_a_traceback_is_a_field_of_several_lines(handler: JournalHandler, tmp_path: Path) -> None:
    """The length stands before it."""
    try:
        int("x")
    except ValueError as error:
        facts = {**EVENT, "exc_info": error}
    with journald(tmp_path / "journal") as server:
        handler.handle(record(facts))
        found = received(server)
    assert found["CHECKPOINTD_EXCEPTION"].startswith("Traceback")
    assert found["MESSAGE"].splitlines()[-1].startswith("ValueError: invalid literal")


def test_nothing_waits_for_a_journal_that_does_not_read(
    handler: JournalHandler, tmp_path: Path
) -> None:
    """What is lost is counted, and the count comes with the next line."""
    with journald(tmp_path / "journal") as server:
        for _ in range(2000):
            handler.handle(record(EVENT))
        server.setblocking(False)
        count = 0
        with contextlib.suppress(BlockingIOError):
            while received(server):
                count += 1
        handler.handle(record(EVENT))
        assert received(server)["CHECKPOINTD_LOST_BEFORE"] == str(2000 - count)


def test_without_a_journal_the_other_handler_takes_it(tmp_path: Path) -> None:
    """Nothing is lost while journald is down."""
    taken: list[logging.LogRecord] = []
    fallback = logging.NullHandler()
    fallback.handle = taken.append  # type: ignore[assignment,method-assign]
    handler = JournalHandler(fallback, str(tmp_path / "nothing"))
    handler.handle(record(EVENT))
    handler.close()
    assert len(taken) == 1


def test_odd_names_and_bytes_are_fields_all_the_same() -> None:
    """A key of a user's, a path that is no Unicode."""
    fields = fields_of({"event": "e", "val-loss": 0.5, "path": os.fsdecode(b"/w/\xff")})
    assert fields["CHECKPOINTD_VAL_LOSS"] == "0.5"
    assert read(datagram(fields))["CHECKPOINTD_PATH"]
