"""`trash list`, `restore`: what was pruned, and how to undo it."""

import sys
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
    app.add_typer(trash_app, name="trash")
    app.command()(restore)


@trash_app.command("list")
def trash_list(
    context: typer.Context,
    watch: Annotated[
        str | None, typer.Argument(metavar="[WATCH]", help="Only that of one watch.")
    ] = None,
    json: Json = False,
) -> int:
    """List what was pruned, and the copies in the vault: what can be restored, newest first."""
    from checkpointd.cli.offline_retention import chosen
    from checkpointd.cli.output import json_line
    from checkpointd.cli.prune_view import show_trash
    from checkpointd.core.text import printable
    from checkpointd.retention import Trash
    from checkpointd.retention.trash import place_of
    from checkpointd.retention.vault import Vault

    rows: list[dict[str, Any]] = []
    errors = []
    for settings in chosen(workspace_of(context).config(), watch):
        try:
            items = Trash(str(settings.path), place_of(settings)).items()
            copies = Vault(str(settings.path)).items()
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
                "expires_at": None
                if item in copies
                else item.manifest.at + settings.retention.trash_ttl,
                "rule": item.manifest.rule,
                "reason": item.manifest.reason,
            }
            for item in (*items, *copies)
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
    """Bring a pruned checkpoint back from the trash, or the last valid content of a path.

    What comes from the trash is pinned, because the next pruning would remove it again; `unpin`
    ends that. Where only the vault has a copy, what is invalid at the path goes to the trash first.
    """
    from checkpointd.cli.client import Client, NoDaemonError
    from checkpointd.cli.offline_retention import restore_here, trashed_path
    from checkpointd.cli.output import json_line
    from checkpointd.core.text import printable

    workspace = workspace_of(context)
    config = workspace.config()
    names = aliases(path, workspace.locations())
    known = trashed_path(config, names) or names[0]
    pinned = True
    try:
        answer = Client(config.state_dir).post("restore", path=known)
        known, pinned = str(answer.get("path", known)), bool(answer.get("pinned", True))
    except NoDaemonError as error:
        if trashed_path(config, names) is None:
            raise CliError(
                f"{known} is not in the trash; `checkpointd trash list` shows what is.", NOTHING
            ) from None
        with writing(config.state_dir, error) as ledger:
            restore_here(ledger, config, known)
    if json:
        json_line({"path": known, "restored": True, "pinned": pinned})
    else:
        print(f"{'restored and pinned' if pinned else 'restored'}  {printable(known)}")
    return OK
