"""`latest` and `wait`: what a shell script asks for."""

import os
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from checkpointd.cli.errors import (
    INCONCLUSIVE,
    INVALID,
    NOTHING,
    OK,
    UNREACHABLE,
    USAGE,
    CliError,
)
from checkpointd.cli.options import Json, PathArgument, seconds
from checkpointd.cli.place import Place, aliases, below, known_path, must_exist, place_of

if TYPE_CHECKING:
    from checkpointd.ledger import Entry

_POLL_SECONDS = 0.1
_DAEMON_SECONDS = 5.0


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(latest)
    app.command()(wait)


def latest(
    context: typer.Context,
    where: Annotated[
        str, typer.Argument(metavar="WATCH_OR_DIR", help="A watch's name, or a directory.")
    ],
    series: Annotated[
        str | None, typer.Option("--series", help="Its label, such as 'ckpt-{}'.")
    ] = None,
    requires: Annotated[
        list[str] | None,
        typer.Option(
            "--requires",
            metavar="SHOWN",
            help="What it must have shown: intact, loads, runs, predicts, resumes. Repeatable.",
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Print the path of the newest valid checkpoint, and nothing else.

    Its content on disk still is the one that was verified. Exits with 4 if there is none, with 2
    if several series match. A name without a slash is a watch's if there is such a watch.
    """
    from checkpointd.cli.newest import newest_valid, series_of

    required = _required(requires or [])
    groups = series_of(_present(place_of(context), where))
    if series is not None:
        groups = {key: group for key, group in groups.items() if key[1] == series}
    if not groups:
        of = f" of series {series!r}" if series is not None else ""
        raise CliError(f"No checkpoint{of} is known in {where}.", NOTHING)
    if len(groups) > 1:
        raise CliError(_several(where, list(groups)), USAGE)
    entry = newest_valid(next(iter(groups.values())), required)
    if entry is None:
        shown = f" that has shown {', '.join(sorted(required))}" if required else ""
        raise CliError(f"There is no valid checkpoint{shown} in {where}.", NOTHING)
    if json:
        from checkpointd.cli.output import json_line
        from checkpointd.ledger.public import public_entry

        json_line(public_entry(entry))
    else:
        # As bytes: a name that is no UTF-8 must reach the shell as it is on disk.
        sys.stdout.flush()
        sys.stdout.buffer.write(os.fsencode(entry.checkpoint.path) + b"\n")
    return OK


def _required(names: list[str]) -> frozenset[str]:
    from checkpointd.checkpoint import SHOWS

    wanted = frozenset(word for name in names for word in name.split(",") if word)
    unknown = sorted(wanted - set(SHOWS.values()))
    if unknown:
        raise CliError(
            f"--requires: {unknown[0]!r} is nothing that a report shows; there are "
            f"{', '.join(SHOWS.values())}.",
            USAGE,
        )
    return wanted


def _present(place: Place, where: str) -> "list[Entry]":
    """What is known, and not gone, in a watch or below a directory."""
    places = place.places()
    watch = where if where in places.roots and "/" not in where else None
    if watch is None and not os.path.isdir(where):
        names = f"; the watches are {', '.join(places.roots)}" if places.roots else ""
        raise CliError(f"{where} is no watch and no directory{names}.", USAGE)
    entries = place.present(watch)
    if watch is not None:
        return entries
    directories = aliases(where, places)
    return [entry for entry in entries if below(entry.checkpoint.path, directories)]


def _several(where: str, keys: list[tuple[str, str]]) -> str:
    lines = [f"Several series match in {where}; name one with --series:"]
    watches = {watch for watch, _ in keys}
    for watch, label in sorted(keys):
        lines.append(f"  {label}" + (f"   (watch {watch})" if len(watches) > 1 else ""))
    return "\n".join(lines)


def wait(
    context: typer.Context,
    path: PathArgument,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="DURATION", help="How long, such as 90s.")
    ] = "5m",
    json: Json = False,
) -> int:
    """Block until a checkpoint's present content has a verdict.

    Exits with it: 0 valid, 1 invalid, 3 inconclusive, 4 if there is none in time, 69 if no
    daemon is there to give one.
    """
    from checkpointd.cli.client import Client, NoDaemonError

    limit = seconds("--timeout", timeout)
    place = place_of(context)
    must_exist(path)
    places = place.places()
    if places.roots and not any(
        below(name, tuple(map(str, places.roots.values()))) for name in aliases(path, places)
    ):
        raise CliError(f"{path} lies in no watch, so it will never get a verdict.", USAGE)
    started = time.monotonic()
    client = Client(places.state_dir)
    while True:
        entry, trouble = _verdict_of(place, path)
        if entry is not None:
            return _tell(entry, json=json)
        passed = time.monotonic() - started
        if passed >= limit and trouble:
            raise CliError(f"{path} has no verdict after {limit:g} s. {trouble}", UNREACHABLE)
        if passed >= limit:
            raise CliError(f"{path} has no verdict after {limit:g} s.", NOTHING)
        if passed >= min(_DAEMON_SECONDS, limit / 2) and not client.is_up():
            raise NoDaemonError(f"{path} has no verdict, and no daemon runs that could give one.")
        time.sleep(_POLL_SECONDS)


def _verdict_of(place: Place, path: str) -> "tuple[Entry | None, str]":
    """The entry of a path if its verdict is about what is on disk now; why it cannot be read."""
    from checkpointd.formats import generation_of
    from checkpointd.ledger import LedgerError
    from checkpointd.ledger.facts import FINISHED

    try:
        ledger = place.ledger()
    except CliError as error:
        return None, str(error) if error.code == UNREACHABLE else ""
    try:
        entry = ledger.entry(known_path(place, path))
        if entry is None or entry.state not in FINISHED:
            return None, ""
        now = generation_of(entry.checkpoint.path, entry.checkpoint.format)
    except LedgerError as error:
        return None, str(error)
    except OSError:
        return None, ""
    finally:
        ledger.close()
    return (entry if now.key == entry.generation.key else None), ""


def _tell(entry: Any, *, json: bool) -> int:
    from checkpointd.cli.output import console, json_line
    from checkpointd.cli.verdicts import print_verdict
    from checkpointd.ledger.public import public_detail

    public = public_detail(entry)
    state = str(entry.state)
    if state == "unknown":
        raise CliError(f"{public['path']} is no checkpoint.", INVALID)
    if json:
        json_line(public)
    else:
        print_verdict(console(), public)
    return {"valid": OK, "invalid": INVALID}.get(state, INCONCLUSIVE)
