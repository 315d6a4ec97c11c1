"""The man page, in roff: the commands' help and parts of the manual."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from checkpointd import __version__
from checkpointd.cli.errors import EXIT_CODES
from checkpointd.cli.manual.command_tree import command_tree
from checkpointd.cli.manual.pages import topics

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.cli.manual.command_tree import Command

_FILES = (
    ("/etc/checkpointd/config.toml", "The config, where no other is named."),
    ("STATE_DIR/ledger.sqlite", "Every verdict, pin and removal."),
    ("STATE_DIR/control.sock", "The socket through which commands reach the daemon."),
    (".checkpointd-trash/", "What was pruned from a watch, until trash_ttl is over."),
    (".checkpointd/vault/", "Copies of the last valid content of paths that are overwritten."),
)
_ENVIRONMENT = (
    ("CHECKPOINTD_CONFIG", "The config, where --config names none."),
    ("STATE_DIRECTORY", "The state directory, where the config names none; systemd sets it."),
    ("NO_COLOR", "Switches colours off."),
)


def man_page(program: Any) -> str:
    """Return the man page of section 1.

    Args:
        program: the program's command, as typer has made it.
    """
    return "\n".join(_lines(*command_tree(program))) + "\n"


def _lines(program: Command, *commands: Command) -> Iterator[str]:
    yield f'.TH CHECKPOINTD 1 "" "checkpointd {__version__}" "User Commands"'
    yield ".SH NAME"
    yield r"checkpointd \- verifies TensorFlow checkpoints as they are saved, and prunes old ones"
    yield ".SH SYNOPSIS"
    yield from (".B checkpointd", r"[\-\-config FILE] COMMAND [ARGUMENTS]")
    yield ".SH DESCRIPTION"
    yield from _paragraphs(program.help)
    yield ".SH OPTIONS"
    for parameter in program.parameters:
        yield from _item(parameter.usage, parameter.help)
    yield ".SH COMMANDS"
    for command in commands:
        yield f".SS {_escaped(command.usage.removeprefix('checkpointd '))}"
        yield from _paragraphs(command.help)
        for parameter in command.parameters:
            yield from _item(parameter.usage, parameter.help)
    yield ".SH EXIT STATUS"
    for code, text in EXIT_CODES.items():
        yield from _item(str(code), text)
    yield ".SH ENVIRONMENT"
    for name, text in _ENVIRONMENT:
        yield from _item(name, text)
    yield ".SH FILES"
    for name, text in _FILES:
        yield from _item(name, text)
    yield ".SH SEE ALSO"
    yield r"The manual, with \fBcheckpointd docs\fR TOPIC:"
    for topic in topics():
        yield from _item(topic.name, topic.summary)


def _item(term: str, text: str) -> Iterator[str]:
    yield ".TP"
    yield rf"\fB{_escaped(term)}\fR"
    yield _escaped(_plain(text))


def _paragraphs(text: str) -> Iterator[str]:
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield ".PP"
        yield _escaped(_plain(" ".join(paragraph.split())))


def _plain(text: str) -> str:
    """Drop the marks of Markdown."""
    return re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", text).replace("`", "")


def _escaped(text: str) -> str:
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    return rf"\&{escaped}" if escaped[:1] in (".", "'") else escaped
