"""Options that several commands share."""

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")]
PathArgument = Annotated[str, typer.Argument(metavar="PATH", help="A checkpoint.")]


def timeout(value: str) -> float:
    """Read a duration such as `5m` on the command line."""
    from checkpointd.config.units import parse_duration

    try:
        return parse_duration(float(value) if value.replace(".", "", 1).isdecimal() else value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
