"""The commands with their arguments and options, as data for the manual and the man page."""

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
    """Yield a command and all its subcommands.

    Args:
        command: the program's command, as typer has made it.
        name: how it is called.
    """
    below: dict[str, Any] = getattr(command, "commands", {})
    visible = [parameter for parameter in command.params if not parameter.hidden]
    if visible or not below:
        arguments = [
            _argument(parameter) for parameter in visible if parameter.param_type_name == "argument"
        ]
        options = ["[OPTIONS]"] if len(visible) > len(arguments) else []
        usage = " ".join([name, *options, *arguments, *(["COMMAND"] if below else [])])
        help_ = inspect.cleandoc(command.help or "")
        yield Command(name, usage, help_, tuple(_parameter(parameter) for parameter in visible))
    for word, inner in below.items():
        yield from command_tree(inner, f"{name} {word}")


def _argument(parameter: Any) -> str:
    name = str(parameter.metavar or parameter.name.upper()).strip("[]") + (
        "..." if parameter.nargs < 0 else ""
    )
    return name if parameter.required else f"[{name}]"


def _parameter(parameter: Any) -> Parameter:
    text = str(parameter.help or "")
    if parameter.param_type_name == "argument":
        return Parameter(_argument(parameter), text)
    names = ", ".join(sorted(parameter.opts, key=len))
    value = "" if parameter.is_flag else f" {parameter.metavar or parameter.name.upper()}"
    default = (
        f" Default: {parameter.default}."
        if isinstance(parameter.default, str) and parameter.default
        else ""
    )
    return Parameter(f"{names}{value}", f"{text}{default}")
