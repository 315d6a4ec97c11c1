"""`pin` and `unpin`: protect one checkpoint from pruning, through the daemon or without one."""

from typing import Annotated

import typer

from checkpointd.cli.errors import NOTHING, OK, CliError
from checkpointd.cli.options import Json, PathArgument
from checkpointd.cli.workspace import aliases, known_path, must_exist, workspace_of, writing


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(pin)
    app.command()(unpin)


def pin(
    context: typer.Context,
    path: PathArgument,
    note: Annotated[str, typer.Option("--note", help="The reason, for later.")] = "",
    json: Json = False,
) -> int:
    """Protect a checkpoint from pruning.

    The pin stays with the path, whatever is saved there later, and survives a lost ledger.
    """
    from checkpointd.cli.client import Client, NoDaemonError

    workspace = workspace_of(context)
    must_exist(path)
    state_dir = workspace.locations().state_dir
    known = known_path(workspace, path)
    try:
        Client(state_dir).post("pin", path=known, note=note)
    except NoDaemonError as error:
        with writing(state_dir, error) as ledger:
            ledger.pin(known, note)
    return _print_result(known, pinned=True, json=json)


def unpin(context: typer.Context, path: PathArgument, json: Json = False) -> int:
    """Remove the protection of `pin`."""
    from checkpointd.cli.client import Client, NoDaemonError

    workspace = workspace_of(context)
    ledger = workspace.ledger()
    try:
        pinned = {pin.path for pin in ledger.pins()}
    finally:
        ledger.close()
    names = (known_path(workspace, path), *aliases(path, workspace.locations()))
    known = next((name for name in names if name in pinned), None)
    if known is None:
        raise CliError(f"{names[0]} is not pinned.", NOTHING)
    state_dir = workspace.locations().state_dir
    try:
        Client(state_dir).post("unpin", path=known)
    except NoDaemonError as error:
        with writing(state_dir, error) as writable:
            writable.unpin(known)
    return _print_result(known, pinned=False, json=json)


def _print_result(path: str, *, pinned: bool, json: bool) -> int:
    from checkpointd.cli.output import json_line
    from checkpointd.core.text import printable

    if json:
        json_line({"path": path, "pinned": pinned})
    else:
        print(f"{'pinned' if pinned else 'unpinned'}  {printable(path)}")
    return OK
