"""`prune`: what is kept and what is removed, with the reason for each."""

import sys
from typing import Annotated, Any

import typer

from checkpointd.cli.errors import NOTHING, OK, UNREACHABLE, USAGE, CliError, DeniedError
from checkpointd.cli.options import Json
from checkpointd.cli.workspace import Workspace, workspace_of, writing


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
            help="Accept the ledger, pins and trash as they are now; ends the holds about them.",
        ),
    ] = False,
    named: Annotated[
        str | None, typer.Option("--watch", metavar="WATCH", help="The same as the argument WATCH.")
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="With --apply and a WATCH: also if its mode is off or dry-run."
        ),
    ] = False,
    json: Json = False,
) -> int:
    """Show what is kept and what is removed, with the reason for each.

    The plan is that of the daemon if one is running, under the config that it runs with; else it
    is made here. Nothing is changed without --apply. With it, the plan is carried out for the
    watches in mode enforce, and their policy is confirmed. `restore` undoes it.
    """
    from checkpointd.cli.trash_space import add_space

    workspace = workspace_of(context)
    if watch is not None and named not in (None, watch):
        raise CliError("Two watches are named: name one.", USAGE)
    watch = named if watch is None else watch
    if force and (watch is None or not apply):
        raise CliError("--force needs --apply and the name of a watch.", USAGE)
    if accept_rebuilt:
        _accept(workspace, watch)
    outcomes = _outcomes(workspace, watch, apply=apply, force=force)
    add_space(workspace, outcomes)
    return _print_outcomes(outcomes, applied=apply, json=json)


def _outcomes(
    workspace: Workspace, watch: str | None, *, apply: bool, force: bool
) -> list[dict[str, Any]]:
    """What the daemon answers; without a daemon, the outcome of planning in this process."""
    from checkpointd.cli.client import Client, NoDaemonError
    from checkpointd.cli.offline_retention import apply_here, chosen, plan_here
    from checkpointd.core.text import printable

    state_dir = workspace.state_dir()
    try:
        answer = Client(state_dir).post("prune", apply=apply, watch=watch, force=force)
        return list(answer.get("watches", ()))
    except NoDaemonError as error:
        watches = chosen(workspace.config(), watch)
        if apply:
            with writing(state_dir, error) as ledger:
                return apply_here(ledger, watches, force=force)
    except CliError as error:
        if error.code == NOTHING:
            raise CliError(str(error), USAGE) from None
        is_denied = isinstance(error, DeniedError)
        if apply or error.code != UNREACHABLE or (is_denied and not workspace.has_config):
            raise
        why = "The daemon gives its plan to root and its own user alone." if is_denied else error
        print(printable(f"{why} This is the plan of the config file instead."), file=sys.stderr)
        watches = chosen(workspace.config(), watch)
    ledger = workspace.ledger()
    try:
        return [plan_here(ledger, settings) for settings in watches]
    finally:
        ledger.close()


def _accept(workspace: Workspace, watch: str | None) -> None:
    from checkpointd.cli.client import Client, NoDaemonError
    from checkpointd.cli.offline_retention import accept_here, chosen

    try:
        Client(workspace.state_dir()).post("accept", watch=watch)
    except NoDaemonError as error:
        with writing(workspace.state_dir(), error) as ledger:
            accept_here(ledger, chosen(workspace.config(), watch))


def _print_outcomes(outcomes: list[dict[str, Any]], *, applied: bool, json: bool) -> int:
    from checkpointd.cli.output import json_line
    from checkpointd.cli.prune_view import exit_code, lines, show_plan, show_removals

    for number, outcome in enumerate(outcomes):
        if json:
            for line in lines(outcome):
                json_line(line)
            continue
        print(end="\n" if number else "")
        show_plan(outcome)
        if applied:
            show_removals(outcome)
    removed = [
        decision
        for o in outcomes
        for decision in o.get("decisions", ())
        if not decision.get("keep")
    ]
    if removed and not applied and not json:
        print("Nothing was changed; --apply moves what is to be removed into the trash.")
    return exit_code(outcomes) if applied else OK
