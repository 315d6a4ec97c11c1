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
    from checkpointd.retention.newest_valid import newest_valid, series_of

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
        asked = f" that has shown {', '.join(sorted(required))}" if required else ""
        raise CliError(f"There is no valid checkpoint{asked} in {where}.", NOTHING)
    if json:
        from checkpointd.cli.output import json_line
        from checkpointd.ledger.public import public_entry

        json_line(public_entry(entry))
    elif sys.stdout.isatty():
        from checkpointd.core.text import printable

        print(printable(entry.checkpoint.path))
    else:
        # As bytes: a name that is no UTF-8 must reach the shell as it is on disk.
        sys.stdout.flush()
        sys.stdout.buffer.write(os.fsencode(entry.checkpoint.path) + b"\n")
    return OK


def _required(names: list[str]) -> frozenset[str]:
    from checkpointd.core.suite import SHOWS

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
        # Without a config, or with a broken one, the ledger may know the watch all the same.
        if not places.roots and (known := _known_watch(place, where)):
            return known
        names = f"; the watches are {', '.join(places.roots)}" if places.roots else ""
        raise CliError(f"{where} is no watch and no directory{names}.", USAGE)
    entries = place.present(watch)
    if watch is not None:
        return entries
    directories = aliases(where, places)
    return [entry for entry in entries if below(entry.checkpoint.path, directories)]


def _known_watch(place: Place, name: str) -> "list[Entry]":
    try:
        return place.present(name)
    except CliError as error:
        if error.code == NOTHING:
            return []
        raise


def _several(where: str, keys: list[tuple[str, str]]) -> str:
    from shlex import quote

    labels = [label for _, label in keys]
    lines = [f"Several series match in {where}; choose one with:"]
    for watch, label in sorted(keys):
        # A label that several watches have needs the watch's name too.
        chosen = f"  --series {quote(label)}"
        lines.append(f"  latest {quote(watch)}{chosen}" if labels.count(label) > 1 else chosen)
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
    daemon is there to give one or the ledger cannot be read.
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
        entry, is_verdict = _known(place, path)
        if entry is not None and is_verdict:
            return _tell(entry, json=json)
        if entry is None:
            _must_be_checkpoint(path)
        passed = time.monotonic() - started
        if passed >= limit:
            raise CliError(f"{path} has no verdict after {limit:g} s{_why(entry)}", NOTHING)
        if passed >= min(_DAEMON_SECONDS, limit / 2) and not client.is_up():
            raise NoDaemonError(f"{path} has no verdict, and no daemon runs that could give one.")
        time.sleep(_POLL_SECONDS)


def _known(place: Place, path: str) -> "tuple[Entry | None, bool]":
    """The entry of a path, and whether it is a verdict on what is on disk now.

    Raises:
        CliError: the ledger is there and cannot be read.
        checkpointd.ledger.LedgerError: what it says cannot be trusted.
    """
    from checkpointd.formats import generation_of
    from checkpointd.ledger.facts import FINISHED

    try:
        ledger = place.ledger()
    except CliError as error:
        if error.code == NOTHING:
            return None, False
        raise
    try:
        entry = ledger.entry(known_path(place, path))
        if entry is None or entry.state not in FINISHED:
            return entry, False
        now = generation_of(entry.checkpoint.path, entry.checkpoint.format)
    except OSError:
        return entry, False
    finally:
        ledger.close()
    return entry, now.key == entry.generation.key


def _must_be_checkpoint(path: str) -> None:
    """Refuse a directory that nobody will ever judge, because it is no checkpoint.

    Raises:
        CliError: with exit code 2.
    """
    from checkpointd.formats import locate

    try:
        if not os.path.isdir(path) or locate(os.path.abspath(path)) is not None:
            return
    except OSError:
        return
    raise CliError(
        f"{path} is a directory and no checkpoint: name a checkpoint in it; `checkpointd latest` "
        "prints its newest valid one.",
        USAGE,
    )


def _why(entry: "Entry | None") -> str:
    """What is known of why there is no verdict yet, as the end of a sentence."""
    from checkpointd.ledger import State

    if entry is None:
        return ": the daemon has not seen it yet."
    if entry.state is State.WRITING:
        why = f": {entry.message.rstrip('.')}" if entry.message else ""
        return f": it counts as still being written{why}."
    if entry.state is State.PENDING:
        return ": it waits for its turn, or is being verified."
    return "."


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
