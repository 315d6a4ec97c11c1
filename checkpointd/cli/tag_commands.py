"""`tag`, `untag` and `tags`: labels on checkpoints that `keep_tags` refers to."""

import contextlib
import time
from typing import TYPE_CHECKING, Annotated

import typer

from checkpointd.cli.access import must_exist
from checkpointd.cli.errors import NOTHING, OK, USAGE, CliError, DeniedError
from checkpointd.cli.marking import mark
from checkpointd.cli.options import Json, PathArgument
from checkpointd.cli.pin_commands import exists
from checkpointd.cli.workspace import aliases, known_paths, workspace_of

if TYPE_CHECKING:
    from checkpointd.ledger import Ledger


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(tag)
    app.command()(untag)
    app.command()(tags)


def tag(
    context: typer.Context,
    path: PathArgument,
    names: Annotated[list[str], typer.Argument(metavar="TAG", help="The tags to add.")],
    json: Json = False,
) -> int:
    """Put tags on a checkpoint, which `keep_tags` in the config refers to.

    A tag alone keeps nothing: name it in `keep_tags`, or pin the checkpoint. Like a pin, it stays
    with the path, whatever is saved there later, and goes where the root goes.
    """

    def write(ledger: "Ledger") -> None:
        for name in names:
            ledger.tag(known, name)

    _check(names)
    workspace = workspace_of(context)
    with contextlib.suppress(DeniedError):  # the daemon can look, and decides who may tag
        must_exist(path)
    state_dir = workspace.locations().state_dir
    for known in known_paths(workspace, path):
        mark(state_dir, "tag", known, write, tags=names)
        _print_result(known, names, tagged=True, json=json)
    return OK


def untag(
    context: typer.Context,
    path: PathArgument,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="TAG", help="Which tags; all without any.")
    ] = None,
    json: Json = False,
) -> int:
    """Remove tags from a checkpoint."""
    from checkpointd.core.text import printable

    _check(names or [])
    workspace = workspace_of(context)
    carried: dict[str, list[str]] = {}
    ledger = workspace.ledger()
    try:
        for tag_row in ledger.tags():
            carried.setdefault(tag_row.path, []).append(tag_row.tag)
    finally:
        ledger.close()
    paths = (*known_paths(workspace, path), *aliases(path, workspace.locations()))
    known = next((name for name in paths if name in carried), None)
    if known is None:
        raise CliError(f"{printable(paths[0])} has no tags.", NOTHING)
    missing = sorted(set(names or ()).difference(carried[known]))
    if missing:
        carried_tags = ", ".join(sorted(carried[known]))
        raise CliError(
            f"{printable(known)} is not tagged {missing[0]}; its tags are {carried_tags}.", NOTHING
        )
    leaving = names or sorted(carried[known])

    def write(ledger: "Ledger") -> None:
        for name in leaving:
            ledger.untag(known, name)

    state_dir = workspace.locations().state_dir
    mark(state_dir, "untag", known, write, tags=leaving)
    _print_result(known, leaving, tagged=False, json=json)
    return OK


def tags(context: typer.Context, json: Json = False) -> int:
    """List what is tagged, including paths where nothing exists any more."""
    from checkpointd.cli.output import console, grid, json_line, print_table
    from checkpointd.core.text import duration, printable
    from checkpointd.formats import locate

    ledger = workspace_of(context).ledger()
    try:
        tagged = ledger.tags()
    finally:
        ledger.close()
    exists_at = {path: exists(locate, path) for path in {tag_row.path for tag_row in tagged}}
    if json:
        for tag_row in tagged:
            json_line(
                {
                    "path": tag_row.path,
                    "tag": tag_row.tag,
                    "at": tag_row.at,
                    "exists": exists_at[tag_row.path],
                }
            )
        return OK
    if not tagged:
        print("Nothing is tagged.")
        return OK
    table = grid("age", "tag", "path")
    for tag_row in tagged:
        path = printable(tag_row.path) + ("" if exists_at[tag_row.path] else " (nothing is there)")
        table.add_row(duration(max(0.0, time.time() - tag_row.at)), tag_row.tag, path)
    print_table(console(), table)
    return OK


def _check(names: list[str]) -> None:
    from checkpointd.core.tags import why_no_tag

    for name in names:
        wrong = why_no_tag(name)
        if wrong:
            raise CliError(f"{name!r} is not a tag: {wrong}.", USAGE)


def _print_result(path: str, names: list[str], *, tagged: bool, json: bool) -> None:
    from checkpointd.cli.output import json_line
    from checkpointd.core.text import printable

    if json:
        json_line({"path": path, "tags": names, "tagged": tagged})
    else:
        print(f"{'tagged' if tagged else 'untagged'}  {', '.join(names)}  {printable(path)}")
