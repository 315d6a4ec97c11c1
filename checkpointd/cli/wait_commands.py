"""`wait`: block until a checkpoint has a verdict, for shell scripts."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from checkpointd.cli.access import must_exist
from checkpointd.cli.errors import (
    INCONCLUSIVE,
    INVALID,
    NOTHING,
    OK,
    USAGE,
    CliError,
    NoStateError,
)
from checkpointd.cli.options import Json, seconds
from checkpointd.cli.workspace import (
    Workspace,
    absolute,
    aliases,
    below,
    known_path,
    workspace_of,
)

if TYPE_CHECKING:
    from checkpointd.ledger import Entry

_POLL_SECONDS = 0.1
_DAEMON_SECONDS = 5.0


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(wait)


def wait(
    context: typer.Context,
    path: Annotated[str | None, typer.Argument(metavar="PATH", help="A checkpoint.")] = None,
    every: Annotated[
        bool,
        typer.Option("--all", help="All checkpoints of all watches, as they are on disk now."),
    ] = False,
    timeout: Annotated[
        str, typer.Option("--timeout", metavar="DURATION", help="How long, such as 90s.")
    ] = "5m",
    json: Json = False,
) -> int:
    """Block until a checkpoint's present content has a verdict.

    Exit codes: 0 valid, 1 invalid, 3 inconclusive, 4 no verdict in time, 69 no daemon is running
    to verify it or the ledger cannot be read. With --all, 0 means that each has a verdict.
    """
    limit = seconds("--timeout", timeout)
    workspace = workspace_of(context)
    if (path is None) is not every:
        raise CliError("Name one checkpoint, or use --all.", USAGE)
    if path is None:
        from checkpointd.cli.waiting_for_all import wait_for_all

        wait_for_all(workspace, limit)
        return OK
    return _wait_for(workspace, path, limit, json=json)


def _wait_for(workspace: Workspace, path: str, limit: float, *, json: bool) -> int:
    from checkpointd.cli.client import Client, NoDaemonError

    must_exist(path)
    locations = workspace.locations()
    if locations.roots and not any(
        below(name, tuple(map(str, locations.roots.values()))) for name in aliases(path, locations)
    ):
        raise CliError(
            f"{absolute(path)} is not in any watch, so it will never get a verdict.", USAGE
        )
    started = time.monotonic()
    client = Client(locations.state_dir)
    while True:
        entry, is_verdict = _look_up(workspace, path)
        if entry is not None and is_verdict:
            return _print_verdict(entry, json=json)
        if entry is None:
            _must_be_checkpoint(path)
        passed = time.monotonic() - started
        if passed >= limit:
            raise CliError(
                f"{absolute(path)} has no verdict after {limit:g} s{_why(entry)}", NOTHING
            )
        if passed >= min(_DAEMON_SECONDS, limit / 2) and not client.is_up():
            raise NoDaemonError(
                f"{absolute(path)} has no verdict, and no daemon is running to verify it."
            )
        time.sleep(_POLL_SECONDS)


def _look_up(workspace: Workspace, path: str) -> "tuple[Entry | None, bool]":
    """The entry of a path, and whether it has a verdict on the content that is on disk now.

    Raises:
        CliError: the ledger is there and cannot be read.
        checkpointd.ledger.LedgerError: the ledger is damaged.
    """
    from checkpointd.retention.newest_valid import has_current_verdict

    try:
        ledger = workspace.ledger()
    except NoStateError:
        return None, False
    try:
        entry = ledger.entry(known_path(workspace, path))
    finally:
        ledger.close()
    return entry, has_current_verdict(entry)


def _must_be_checkpoint(path: str) -> None:
    """Refuse a directory that will never get a verdict, because it is not a checkpoint.

    Raises:
        CliError: with exit code 2.
    """
    from checkpointd.buckets import storage_of
    from checkpointd.formats import locate

    try:
        where = absolute(path)
        storage = storage_of(where)
        if not storage.stat(where).is_dir or locate(where, storage) is not None:
            return
    except OSError:
        return
    raise CliError(
        f"{path} is a directory and not a checkpoint: name a checkpoint in it; "
        "`checkpointd latest` prints its newest valid one.",
        USAGE,
    )


def _why(entry: "Entry | None") -> str:
    """Return why there is no verdict yet, as far as is known, as the end of a sentence."""
    from checkpointd.ledger import State

    if entry is None:
        return ": the daemon has not seen it yet."
    if entry.state is State.WRITING:
        why = f": {entry.message.rstrip('.')}" if entry.message else ""
        return f": it counts as still being written{why}."
    if entry.state is State.PENDING:
        return ": it is in the queue, or is being verified."
    return "."


def _print_verdict(entry: Any, *, json: bool) -> int:
    from checkpointd.cli.output import console, json_line
    from checkpointd.cli.verdicts import print_verdict
    from checkpointd.ledger.public import public_detail

    public = public_detail(entry)
    state = str(entry.state)
    if state == "unknown":
        raise CliError(f"{public['path']} is not a checkpoint.", USAGE)
    if json:
        json_line(public)
    else:
        print_verdict(console(), public)
    return {"valid": OK, "invalid": INVALID}.get(state, INCONCLUSIVE)
