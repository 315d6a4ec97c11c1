"""`prune`, `trash list`, `restore`: what is kept and why, and how to undo it."""

import sys
import time
from typing import Annotated, Any

import typer

from checkpointd.cli.errors import NOTHING, OK, CliError
from checkpointd.cli.options import Json, PathArgument
from checkpointd.cli.workspace import aliases, workspace_of, writing

trash_app = typer.Typer(
    help="Inspect what was pruned.", no_args_is_help=True, rich_markup_mode=None
)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(prune)
    app.add_typer(trash_app, name="trash")
    app.command()(restore)


def prune(
    context: typer.Context,
    watch: Annotated[
        str | None, typer.Argument(metavar="[WATCH]", help="Only those of one watch.")
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="Move what is to be removed into the trash.")
    ] = False,
    json: Json = False,
) -> int:
    """Show what is kept and what is removed, with the reason for each.

    Nothing is changed without --apply. With it, the plan is carried out in every mode: by the
    daemon if one is running, else by this command. `restore` undoes it.
    """
    from checkpointd.cli.client import Client, NoDaemonError
    from checkpointd.cli.offline_retention import apply_here, chosen
    from checkpointd.retention.public import public_plan
    from checkpointd.retention.watch_plan import plan_watch

    workspace = workspace_of(context)
    config = workspace.config()
    watches = chosen(config, watch)
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
            outcomes = [public_plan(w.name, plan_watch(ledger, w, now)) for w in watches]
        finally:
            ledger.close()
    return _print_outcomes(outcomes, applied=apply, json=json)


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


@trash_app.command("list")
def trash_list(
    context: typer.Context,
    watch: Annotated[
        str | None, typer.Argument(metavar="[WATCH]", help="Only that of one watch.")
    ] = None,
    json: Json = False,
) -> int:
    """List what was pruned and can be restored, newest first."""
    from checkpointd.cli.offline_retention import chosen
    from checkpointd.cli.output import json_line
    from checkpointd.cli.prune_view import show_trash
    from checkpointd.core.text import printable
    from checkpointd.retention import Trash

    rows: list[dict[str, Any]] = []
    errors = []
    for settings in chosen(workspace_of(context).config(), watch):
        try:
            items = Trash(str(settings.path)).items()
        except OSError as failure:
            errors.append(f"The trash of {settings.path} cannot be read: {failure.strerror}.")
            continue
        rows += [
            {
                "watch": settings.name,
                "path": item.path,
                "item": item.id,
                "size_bytes": item.manifest.size_bytes,
                "at": item.manifest.at,
                "expires_at": item.manifest.at + settings.retention.trash_ttl,
                "rule": item.manifest.rule,
                "reason": item.manifest.reason,
            }
            for item in items
        ]
    for error in errors:
        print(printable(error), file=sys.stderr)
    rows.sort(key=lambda row: -row["at"])
    if json:
        for row in rows:
            json_line(row)
    elif rows:
        show_trash(rows)
    elif not errors:
        print("The trash is empty.")
    return NOTHING if errors and not rows else OK


def restore(context: typer.Context, path: PathArgument, json: Json = False) -> int:
    """Bring a pruned checkpoint back from the trash.

    It is pinned, because the next pruning would remove it again; `unpin` ends that.
    """
    from checkpointd.cli.client import Client, NoDaemonError
    from checkpointd.cli.offline_retention import restore_here, trashed_path
    from checkpointd.cli.output import json_line
    from checkpointd.core.text import printable

    workspace = workspace_of(context)
    config = workspace.config()
    names = aliases(path, workspace.locations())
    known = trashed_path(config, names) or names[0]
    try:
        answer = Client(config.state_dir).post("restore", path=known)
        known = str(answer.get("path", known)) if isinstance(answer, dict) else known
    except NoDaemonError as error:
        if trashed_path(config, names) is None:
            raise CliError(
                f"{known} is not in the trash; `checkpointd trash list` shows what is.", NOTHING
            ) from None
        with writing(config.state_dir, error) as ledger:
            restore_here(ledger, config, known)
    if json:
        json_line({"path": known, "restored": True, "pinned": True})
    else:
        print(f"restored and pinned  {printable(known)}")
    return OK
