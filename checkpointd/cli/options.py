"""Options that several commands share."""

from typing import Annotated

import typer

from checkpointd.cli.errors import USAGE, CliError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]
PathArgument = Annotated[str, typer.Argument(metavar="PATH", help="A checkpoint.")]


def seconds(option: str, value: str) -> float:
    """Read the duration, such as `5m` or `90`, that an option was given.

    Raises:
        CliError: it is none.
    """
    from checkpointd.config.units import parse_duration

    try:
        return parse_duration(float(value) if value.replace(".", "", 1).isdecimal() else value)
    except ValueError as error:
        raise CliError(f"{option}: {error}, got {value!r}.", USAGE) from None
