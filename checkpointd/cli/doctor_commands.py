"""`doctor`: everything that can be wrong on this host, each with its cure."""

from typing import TYPE_CHECKING, Annotated

import typer

from checkpointd.cli.errors import INVALID, OK, USAGE, CliError
from checkpointd.cli.options import Json
from checkpointd.cli.workspace import workspace_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.cli.doctor.finding import Finding, HostCheck
    from checkpointd.cli.doctor.host import Host


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(doctor)


def doctor(
    context: typer.Context,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[CHECK]", help="Only these; by default all.")
    ] = None,
    json: Json = False,
) -> int:
    """Check this host for everything that can be wrong, and print what to do about it.

    Permissions are tested as the user that the service runs as, which needs sudo. Changes nothing.
    Exit codes: 0 nothing is wrong, though there may be warnings; 1 there is a problem.
    """
    from checkpointd.cli.doctor.finding import Level
    from checkpointd.cli.doctor.host import inspect_host
    from checkpointd.cli.doctor.table import CHECKS
    from checkpointd.cli.output import json_line

    known = {check.name: check for check in CHECKS}
    wrong = next((name for name in names or () if name not in known), None)
    if wrong is not None:
        raise CliError(f"There is no check {wrong!r}; choose from {', '.join(known)}.", USAGE)
    host = inspect_host(workspace_of(context))
    levels = []
    for check in [known[name] for name in names] if names else CHECKS:
        for number, finding in enumerate(_findings(check, host)):
            levels.append(finding.level)
            if json:
                json_line(
                    {
                        "check": check.name,
                        "level": str(finding.level),
                        "message": finding.message,
                        "cure": finding.cure,
                    }
                )
            else:
                _print(check.name if not number else "", finding)
    if not json:
        _print_total(levels.count(Level.PROBLEM), levels.count(Level.WARNING))
    return INVALID if Level.PROBLEM in levels else OK


def _findings(check: "HostCheck", host: "Host") -> "Iterator[Finding]":
    """What a check finds; if it could not be carried out, that is a finding as well."""
    from checkpointd.cli.doctor.finding import unknown

    try:
        yield from check.run(host)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        yield unknown(f"This could not be checked: {where}{error.strerror or error}.", "Use sudo.")


def _print(name: str, finding: "Finding") -> None:
    from rich.text import Text

    from checkpointd.cli.output import COLOURS, console, grid, print_table
    from checkpointd.core.text import printable

    out = console()
    text = Text(printable(finding.message))
    if finding.cure:
        text.append(f"\nWhat to do: {printable(finding.cure)}", "dim")
    table = grid("", "", "")
    table.columns[0].width, table.columns[1].width = 13, 8
    table.add_row(name, Text(finding.level, COLOURS.get(finding.level, "")), text)
    print_table(out, table)


def _print_total(problems: int, warnings: int) -> None:
    if not problems and not warnings:
        print("Nothing is wrong.")
        return
    counts = ((problems, "problem"), (warnings, "warning"))
    print(", ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in counts if n))
