"""`prune`: what is kept and what is removed, with the reason for each."""

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from checkpointd.cli.errors import OK
from checkpointd.cli.options import Json
from checkpointd.cli.workspace import workspace_of, writing

if TYPE_CHECKING:
    from checkpointd.config import Config


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(prune)


def prune(
    context: typer.Context,
    watch: Annotated[
        str | None, typer.Argument(metavar="[WATCH]", help="Only those of one watch.")
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Move what is to be removed into the trash.")
    ] = False,
    accept_rebuilt: Annotated[
        bool,
        typer.Option(
            "--accept-rebuilt",
            help="Go on with what the ledger, pins and trash are now; ends the holds about them.",
        ),
    ] = False,
    json: Json = False,
) -> int:
    """Show what is kept and what is removed, with the reason for each.

    Nothing is changed without --apply. With it, the plan is carried out in every mode: by the
    daemon if one is running, else by this command. `restore` undoes it.
    """
    from checkpointd.cli.client import Client, NoDaemonError
    from checkpointd.cli.offline_retention import apply_here, chosen
    from checkpointd.retention.confirmation import confirm_plan
    from checkpointd.retention.public import public_plan
    from checkpointd.retention.watch_plan import plan_watch

    workspace = workspace_of(context)
    config = workspace.config()
    watches = chosen(config, watch)
    if accept_rebuilt:
        _accept(config, watch)
    if apply:
        try:
            answer = Client(config.state_dir).post("prune", apply=True, watch=watch)
            outcomes = list(answer.get("watches", ()))
        except NoDaemonError as error:
            with writing(config.state_dir, error) as ledger:
                outcomes = apply_here(ledger, watches)
    else:
        ledger = workspace.ledger()
        try:
            now = time.time()
            outcomes = [
                public_plan(w.name, confirm_plan(ledger, w, plan_watch(ledger, w, now)))
                for w in watches
            ]
        finally:
            ledger.close()
    return _print_outcomes(outcomes, applied=apply, json=json)


def _accept(config: "Config", watch: str | None) -> None:
    from checkpointd.cli.client import Client, NoDaemonError
    from checkpointd.cli.offline_retention import accept_here, chosen

    try:
        Client(config.state_dir).post("accept", watch=watch)
    except NoDaemonError as error:
        with writing(config.state_dir, error) as ledger:
            accept_here(ledger, chosen(config, watch))


def _print_outcomes(outcomes: list[dict[str, Any]], *, applied: bool, json: bool) -> int:
    from checkpointd.cli.output import json_line
    from checkpointd.cli.prune_view import lines, show_plan, show_removals

    for number, outcome in enumerate(outcomes):
        if json:
            for line in lines(outcome):
                json_line(line)
            continue
        print(end="\n" if number else "")
        show_plan(outcome)
        if applied:
            show_removals(outcome)
    removed = [one for o in outcomes for one in o.get("decisions", ()) if not one.get("keep")]
    if removed and not applied and not json:
        print("Nothing was changed; --apply moves what is to be removed into the trash.")
    return OK
