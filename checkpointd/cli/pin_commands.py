"""`pin` and `unpin`: protect one checkpoint from pruning, through the daemon or without one."""

import contextlib
import os
import time
from collections.abc import Callable
from operator import methodcaller
from typing import Annotated

import typer

from checkpointd.cli.access import must_exist
from checkpointd.cli.errors import NOTHING, OK, CliError, DeniedError
from checkpointd.cli.marking import mark
from checkpointd.cli.options import Json, PathArgument
from checkpointd.cli.workspace import aliases, known_paths, workspace_of


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(pin)
    app.command()(unpin)
    app.command()(pins)


def pin(
    context: typer.Context,
    path: PathArgument,
    note: Annotated[str, typer.Option("--note", help="The reason, for later.")] = "",
    json: Json = False,
) -> int:
    """Protect a checkpoint from pruning.

    The pin stays with the path, whatever is saved there later, survives a lost ledger, and goes
    where the root goes. A link stands for what it leads to, too.
    """
    workspace = workspace_of(context)
    with contextlib.suppress(DeniedError):  # the daemon can look, and decides who may pin
        must_exist(path)
    state_dir = workspace.locations().state_dir
    for known in known_paths(workspace, path):
        mark(state_dir, "pin", known, methodcaller("pin", known, note), note=note)
        _print_result(known, pinned=True, json=json)
    return OK


def unpin(context: typer.Context, path: PathArgument, json: Json = False) -> int:
    """Remove the protection of `pin`."""
    workspace = workspace_of(context)
    ledger = workspace.ledger()
    try:
        pinned = {pin.path for pin in ledger.pins()}
    finally:
        ledger.close()
    names = (*known_paths(workspace, path), *aliases(path, workspace.locations()))
    known = next((name for name in names if name in pinned), None)
    if known is None:
        raise CliError(f"{names[0]} is not pinned.", NOTHING)
    state_dir = workspace.locations().state_dir
    mark(state_dir, "unpin", known, methodcaller("unpin", known))
    return _print_result(known, pinned=False, json=json)


def pins(context: typer.Context, json: Json = False) -> int:
    """List what is pinned, including paths where nothing exists any more."""
    from checkpointd.cli.output import console, grid, json_line, print_table
    from checkpointd.core.text import duration, printable
    from checkpointd.formats import locate

    ledger = workspace_of(context).ledger()
    try:
        pinned = ledger.pins()
    finally:
        ledger.close()
    rows = [
        {"path": pin.path, "note": pin.note, "at": pin.at, "exists": exists(locate, pin.path)}
        for pin in pinned
    ]
    if json:
        for row in rows:
            json_line(row)
        return OK
    if not rows:
        print("Nothing is pinned.")
        return OK
    table = grid("age", "path", "note")
    for pin, row in zip(pinned, rows, strict=True):
        path = printable(pin.path) + ("" if row["exists"] else " (nothing is there)")
        table.add_row(duration(max(0.0, time.time() - pin.at)), path, printable(pin.note))
    print_table(console(), table)
    return OK


def exists(locate: Callable[[str], object], path: str) -> bool:
    """Whether anything is at a path that was pinned or tagged."""
    try:
        return os.path.lexists(path) or locate(path) is not None
    except OSError:
        return False


def _print_result(path: str, *, pinned: bool, json: bool) -> int:
    from checkpointd.cli.output import json_line
    from checkpointd.core.text import printable

    if json:
        json_line({"path": path, "pinned": pinned})
    else:
        print(f"{'pinned' if pinned else 'unpinned'}  {printable(path)}")
    return OK
