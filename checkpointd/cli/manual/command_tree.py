"""The commands, their arguments and options, as facts for the manual and the man page."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Parameter:
    """An argument or an option: as it is typed, and what it is for."""

    usage: str
    help: str


@dataclass(frozen=True)
class Command:
    """A command: its name with its groups, as it is typed, its help, what it takes."""

    name: str
    usage: str
    help: str
    parameters: tuple[Parameter, ...]


def command_tree(command: Any, name: str = "checkpointd") -> Iterator[Command]:
    """Yield a command and all below it.

    Args:
        command: the program's command, as typer has made it.
        name: how it is called.
    """
    below: dict[str, Any] = getattr(command, "commands", {})
    own = [one for one in command.params if not one.hidden]
    if own or not below:
        arguments = [_argument(one) for one in own if one.param_type_name == "argument"]
        options = ["[OPTIONS]"] if len(own) > len(arguments) else []
        usage = " ".join([name, *options, *arguments, *(["COMMAND"] if below else [])])
        help_ = inspect.cleandoc(command.help or "")
        yield Command(name, usage, help_, tuple(_parameter(one) for one in own))
    for word, inner in below.items():
        yield from command_tree(inner, f"{name} {word}")


def _argument(one: Any) -> str:
    name = str(one.metavar or one.name.upper()).strip("[]") + ("..." if one.nargs < 0 else "")
    return name if one.required else f"[{name}]"


def _parameter(one: Any) -> Parameter:
    text = str(one.help or "")
    if one.param_type_name == "argument":
        return Parameter(_argument(one), text)
    names = ", ".join(sorted(one.opts, key=len))
    value = "" if one.is_flag else f" {one.metavar or one.name.upper()}"
    default = f" Default: {one.default}." if isinstance(one.default, str) and one.default else ""
    return Parameter(f"{names}{value}", f"{text}{default}")
