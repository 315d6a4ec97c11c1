"""`trash list`, `trash empty`, `restore`: what was pruned, and how to undo it."""

import sys
import time
from typing import Annotated, Any

import typer

from checkpointd.cli.errors import FAILED, OK, REFUSED, UNREACHABLE, USAGE, CliError
from checkpointd.cli.options import Json, seconds
from checkpointd.cli.workspace import Workspace, aliases, workspace_of

trash_app = typer.Typer(
    help="Inspect what was pruned.", no_args_is_help=True, rich_markup_mode=None
)

WatchArgument = Annotated[
    str | None, typer.Argument(metavar="[WATCH]", help="Only that of one watch.")
]


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(trash_app, name="trash")
    app.command()(restore)


@trash_app.command("list")
def trash_list(context: typer.Context, watch: WatchArgument = None, json: Json = False) -> int:
    """List what was pruned, and the copies in the vault: what can be restored, newest first."""
    from checkpointd.cli.trash_items import contents

    trash = contents(workspace_of(context), watch)
    _print_errors(trash.errors)
    rows = [listed.row(time.time()) for listed in trash.items]
    if rows or json:
        _print_rows(rows, json=json)
    elif not trash.errors:
        print("The trash is empty.")
    return UNREACHABLE if trash.errors and not rows else OK


@trash_app.command("empty")
def trash_empty(
    context: typer.Context,
    watch: WatchArgument = None,
    older_than: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Only what was pruned longer ago, such as `12h`."),
    ] = None,
    copies: Annotated[
        bool, typer.Option("--copies", help="The copies in the vault, and not the trash.")
    ] = False,
    apply: Annotated[
        bool, typer.Option("--apply", help="Delete it; this cannot be undone.")
    ] = False,
    json: Json = False,
) -> int:
    """Delete what is in the trash for good, in every mode; with --copies what is in the vault.

    Nothing is deleted without --apply.
    """
    from checkpointd.cli.trash_changes import empty
    from checkpointd.cli.trash_items import contents
    from checkpointd.core.text import size

    least = 0.0 if older_than is None else seconds("--older-than", older_than)
    workspace = workspace_of(context)
    trash = contents(workspace, watch)
    _print_errors(trash.errors)
    chosen = [
        listed
        for listed in trash.items
        if listed.can_be_deleted(copies=copies) and listed.age >= least
    ]
    if not chosen:
        if not json and not trash.errors:
            print(f"Nothing in the {'vault' if copies else 'trash'} is to be deleted.")
        return UNREACHABLE if trash.errors else OK
    total = size(sum(listed.item.manifest.size_bytes for listed in chosen))
    if not apply:
        _print_rows([listed.row(time.time()) for listed in chosen], json=json)
        if not json:
            print(f"{len(chosen)} to delete ({total}). Nothing was changed; --apply deletes them.")
        return OK
    errors = empty(workspace, chosen)
    _print_errors(errors)
    if not json:
        print(f"{len(chosen) - len(errors)} of {len(chosen)} deleted ({total} in all)")
    return FAILED if errors else OK


def restore(
    context: typer.Context,
    path: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PATH]",
            help="Checkpoints, their directories, or patterns in quotes: 'run/ckpt-1*'.",
        ),
    ] = None,
    watch: Annotated[
        str | None, typer.Option(metavar="WATCH", help="Only what was pruned from one watch.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Only what was pruned no longer ago, such as `2h`."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what would be restored; change nothing.")
    ] = False,
    json: Json = False,
) -> int:
    """Bring pruned checkpoints back from the trash, or the last valid content of a path.

    What comes from the trash is pinned, because the next pruning would remove it again; `unpin`
    ends that. Where something else is at a path now, that one stays in the trash, the others are
    restored, and the exit code is 5. Where only the vault has a copy, what is invalid at the path
    goes to the trash first.
    """
    from checkpointd.cli import trash_changes
    from checkpointd.cli.copies import copies_of
    from checkpointd.cli.trash_items import (
        contents,
        nothing_found_error,
        select,
        why_not_restorable,
    )

    if not path and watch is None and since is None:
        raise CliError("Name what to restore: a PATH, --watch or --since.", USAGE)
    workspace = workspace_of(context)
    trash = contents(workspace, watch)
    names = [(typed, _names(typed, workspace)) for typed in path or ()]
    youngest = None if since is None else seconds("--since", since)
    chosen, missing = select(trash.items, names, youngest)
    _print_errors(trash.errors)
    known = (alias for typed, aliases_of in names if typed in missing for alias in aliases_of)
    copies = copies_of(workspace, known) if missing else []
    if not chosen:
        raise nothing_found_error(missing, unread=bool(trash.errors), copies=copies)
    refused = 0
    if dry_run:
        rows = [
            {**listed.row(time.time()), "refusal": why_not_restorable(listed)} for listed in chosen
        ]
        _print_rows(rows, json=json)
        if not json:
            count = sum(not row["refusal"] for row in rows)
            print(f"{count} of these would be restored; nothing was changed (--dry-run).")
    else:
        refused = trash_changes.restore(workspace, chosen, json=json)
    if missing:
        error = nothing_found_error(missing, unread=bool(trash.errors), copies=copies)
        _print_errors([str(error)])
    return REFUSED if refused or missing else OK


def _names(typed: str, workspace: Workspace) -> tuple[str, ...]:
    return aliases(typed, workspace.remains())


def _print_rows(rows: list[dict[str, Any]], *, json: bool) -> None:
    from checkpointd.cli.output import json_line
    from checkpointd.cli.trash_view import show_trash

    if not json:
        show_trash(rows)
        return
    for row in rows:
        json_line(row)


def _print_errors(errors: list[str]) -> None:
    from checkpointd.core.text import printable

    for error in errors:
        print(printable(error), file=sys.stderr)
