"""The log lines, as journald, a pipe and a terminal get them."""

from __future__ import annotations

import io
import json
import logging
import os
import pty
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from checkpointd.observe.journal import JournalHandler
from checkpointd.observe.logs import configure, in_journal
from tests.helpers.observe import ODD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    """Every line of a JSON log."""
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_pipe_gets_one_json_object_a_line() -> None:
    """Machines read it: time in UTC, level, event, and the facts under their names."""
    out = io.StringIO()
    configure(stream=out)
    structlog.get_logger().warning("invalid", path="/a", seconds=0.5)
    (entry,) = lines(out)
    assert entry["timestamp"].endswith("Z")
    assert (entry["level"], entry["event"], entry["seconds"]) == ("warning", "invalid", 0.5)


def test_other_libraries_and_warnings_go_the_same_way() -> None:
    """What watchdog, aiohttp and asyncio log is JSON too, with its logger's name."""
    out = io.StringIO()
    configure(stream=out)
    logging.getLogger("watchdog.observers").warning("overflow in %s", "x")
    logging.getLogger("asyncio").info("not of interest")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn("old thing", stacklevel=1)
    first, second = lines(out)
    assert (first["logger"], first["event"]) == ("watchdog.observers", "overflow in x")
    assert "old thing" in second["event"]


def test_an_exception_stays_on_one_line() -> None:
    """A traceback is a field, so no log shipper tears it apart."""
    out = io.StringIO()
    configure(stream=out)
    try:
        int(ODD)
    except ValueError:
        structlog.get_logger().exception("a part died")
    (entry,) = lines(out)
    assert "ValueError" in entry["exception"]


class _Odd:
    def __repr__(self) -> str:
        return f"cannot read {ODD}\nlevel=critical forged\r\x1b]0;x\x07"


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_an_exceptions_text_forges_no_line_and_no_escape(log_format: Any) -> None:
    """Neither on the line of its own that JSON gives it, nor in a readable traceback."""
    out = io.StringIO()
    configure(log_format, stream=out)
    try:
        {}[_Odd()]
    except KeyError:
        structlog.get_logger().exception("a part died")
    written = out.getvalue()
    assert "forged" in written
    assert not any(line.startswith("level=") for line in written.splitlines())
    assert not any(sign in written for sign in "\x1b\x07\r\u202e")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_odd_names_never_crash_it_nor_reach_the_terminal(log_format: Any) -> None:
    """A file's name can neither stop the log nor move the cursor."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="utf-8", errors="strict")
    configure(log_format, stream=out)
    structlog.get_logger().info("seen", path=ODD, paths=[ODD], deep={"a": {ODD: ODD}})
    logging.getLogger("watchdog").warning("seen %s", ODD)
    out.flush()
    text = raw.getvalue().decode()
    assert "\x1b" not in text
    assert text.count("\n") == 2
    assert "\\xff" in text


def test_below_the_level_nothing_is_written() -> None:
    """`log_level` holds for our own lines and for others'."""
    out = io.StringIO()
    configure("json", "error", stream=out)
    structlog.get_logger().warning("hidden")
    logging.getLogger("watchdog").warning("hidden")
    structlog.get_logger().error("reported")
    assert [entry["event"] for entry in lines(out)] == ["reported"]


def test_a_terminal_gets_readable_lines() -> None:
    """On a real pseudo-terminal, auto means console."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as out:
        configure(stream=out, environ={})
        structlog.get_logger().info("valid", path="/a")
        out.flush()
        text = os.read(ours, 4096).decode()
    os.close(ours)
    assert "valid" in text
    assert not text.startswith("{")


def test_the_journal_is_recognised_and_gets_a_priority(tmp_path: Path) -> None:
    """$JOURNAL_STREAM names the stream: fields, or JSON behind what `journalctl -p` goes by."""
    with (tmp_path / "journal").open("w", encoding="utf-8") as out:
        stat = os.fstat(out.fileno())
        environ = {"JOURNAL_STREAM": f"{stat.st_dev}:{stat.st_ino}"}
        assert in_journal(out, environ)
        assert not in_journal(out, {"JOURNAL_STREAM": "1:1"})
        assert not in_journal(io.StringIO(), environ)
        configure(stream=out, environ=environ)
        assert isinstance(logging.getLogger().handlers[0], JournalHandler)
        configure("json", stream=out, environ=environ)
        structlog.get_logger().warning("invalid")
    line = (tmp_path / "journal").read_text(encoding="utf-8")
    assert line.startswith("<4>{")
    json.loads(line[3:])
