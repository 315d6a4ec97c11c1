"""The log: fields of the journal under systemd, JSON in pipes, readable lines on a terminal.

Everything goes to standard error or to the journal behind it, including the logs of watchdog,
aiohttp and asyncio, and Python's warnings.
"""

from __future__ import annotations

import io
import logging
import os
import sys
from typing import TYPE_CHECKING, Any, Literal, TextIO

import structlog

from checkpointd.core.text import encodable, printable
from checkpointd.observe.journal import PRIORITIES, JournalHandler
from checkpointd.observe.log_causes import OneWarningACause

if TYPE_CHECKING:
    from collections.abc import Mapping

    from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

LogFormat = Literal["auto", "json", "console"]

_QUIET = ("watchdog", "aiohttp", "asyncio")


def configure(
    log_format: LogFormat = "auto",
    level: str = "info",
    *,
    stream: TextIO | None = None,
    environ: Mapping[str, str] | None = None,
) -> None:
    """Set up logging for the whole process; calling it again replaces what was set up.

    Args:
        log_format: `auto` is `console` on a terminal, the journal's own fields where standard
            error is the journal, and `json` elsewhere.
        level: the lowest level that is written: debug, info, warning or error.
        stream: where to write; standard error by default.
        environ: where `JOURNAL_STREAM` is read; the environment of this process by default.
    """
    out = sys.stderr if stream is None else stream
    journal = in_journal(out, os.environ if environ is None else environ)
    json = log_format == "json" or (log_format == "auto" and (journal or not out.isatty()))
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    stream_handler = logging.StreamHandler(out)
    stream_handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=_json(journal) if json else _console(out),
        )
    )
    handler: logging.Handler = stream_handler
    if journal and log_format == "auto":
        handler = JournalHandler(stream_handler)
    handler.addFilter(OneWarningACause())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        if isinstance(old, JournalHandler):
            old.close()
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    logging.captureWarnings(capture=True)


def in_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether a stream goes to journald: `$JOURNAL_STREAM` names its device and inode."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def _json(journal: bool) -> list[Processor]:
    renderer = structlog.processors.JSONRenderer(ensure_ascii=True)
    chain: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        _encodable,
    ]
    return [*chain, _Prefixed(renderer) if journal else renderer]


def _console(out: TextIO) -> list[Processor]:
    renderer = structlog.dev.ConsoleRenderer(
        colors=out.isatty() and "NO_COLOR" not in os.environ,
        exception_formatter=_traceback,
    )
    return [structlog.stdlib.ProcessorFormatter.remove_processors_meta, _displayable, renderer]


def _traceback(out: TextIO, exc_info: ExcInfo) -> None:
    """Write a traceback indented, so that no text in it looks like a line of the log."""
    plain = io.StringIO()
    structlog.dev.plain_traceback(plain, exc_info)
    out.write("\n".join(f"  {printable(line)}" for line in plain.getvalue().split("\n")))


class _Prefixed:
    """Puts the priority, such as `<4>`, before the line; journald reads and removes it."""

    def __init__(self, renderer: structlog.processors.JSONRenderer) -> None:
        self._renderer = renderer

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> str:
        priority = PRIORITIES.get(str(event.get("level")), 6)
        line = self._renderer(logger, name, event)
        text = line.decode() if isinstance(line, bytes) else line
        return f"<{priority}>{text}"


def _encodable(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    first = ("timestamp", "level", "event")
    ordered = {key: event[key] for key in first if key in event} | dict(event)
    return {key: encodable(value) for key, value in ordered.items()}


def _displayable(_logger: WrappedLogger, _name: str, event: EventDict) -> EventDict:
    """Keep a file's name from moving the cursor; the lines of a traceback stay lines."""
    return {key: _escaped(value) for key, value in event.items()}


def _escaped(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_escaped(one) for one in value]
    return printable(value) if isinstance(value, str) else value
