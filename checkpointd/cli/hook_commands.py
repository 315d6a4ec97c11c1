"""`hooks list` and `hooks retry`: what waits for the commands of `[watch.hooks]`."""

import time
from typing import Annotated

import typer

from checkpointd.cli.errors import NOTHING, OK, CliError
from checkpointd.cli.options import Json
from checkpointd.cli.workspace import workspace_of, writing

hooks_app = typer.Typer(
    help="Inspect the events that hooks have not handled yet.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(hooks_app, name="hooks")


@hooks_app.command("list")
def hooks_list(
    context: typer.Context,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only events for which a hook has failed.")
    ] = False,
    json: Json = False,
) -> int:
    """List the events that wait for a hook, or that were given up, oldest first."""
    from checkpointd.cli.output import console, grid, json_line, print_table
    from checkpointd.core.text import duration, printable

    ledger = workspace_of(context).ledger()
    try:
        events = [event for event in ledger.hooks() if event.error or not failed]
    finally:
        ledger.close()
    if json:
        for event in events:
            json_line(event.to_public())
        return OK
    if not events:
        print("No hook has failed." if failed else "Nothing waits for a hook.")
        return OK
    now = time.time()
    table = grid("id", "age", "event", "watch", "path", "attempts", "next", "error")
    for event in events:
        due = "at once" if event.next_at <= now else f"in {duration(event.next_at - now)}"
        table.add_row(
            str(event.id),
            duration(max(0.0, now - event.queued_at)),
            event.event,
            event.watch,
            printable(event.path),
            str(event.attempts),
            "given up" if event.given_up else due,
            printable(event.error),
        )
    print_table(console(), table)
    return OK


@hooks_app.command("retry")
def hooks_retry(
    context: typer.Context,
    ids: Annotated[
        list[int] | None, typer.Argument(metavar="ID", help="As `hooks list` prints it; else all.")
    ] = None,
    json: Json = False,
) -> int:
    """Run the hooks of events again now, including events that were given up."""
    from checkpointd.cli.client import Client, NoDaemonError
    from checkpointd.cli.output import json_line

    state_dir = workspace_of(context).locations().state_dir
    try:
        count = Client(state_dir).post("retry_hooks", ids=ids or None)["retried"]
    except NoDaemonError as error:
        with writing(state_dir, error) as ledger:
            count = ledger.retry_hooks(ids or None)
    if not count:
        raise CliError("No such event waits for a hook: see `checkpointd hooks list`.", NOTHING)
    if json:
        json_line({"retried": count})
    else:
        print(f"{count} queued to run again.")
    return OK
