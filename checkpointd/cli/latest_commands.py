"""`latest`: the newest valid checkpoint of a watch or a directory, for shell scripts."""

import os
import stat
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer

from checkpointd.cli.access import denied, refuse_unseen
from checkpointd.cli.errors import INCONCLUSIVE, NOTHING, OK, USAGE, CliError
from checkpointd.cli.options import Json
from checkpointd.cli.workspace import Workspace, aliases, workspace_of
from checkpointd.core.urls import is_url

if TYPE_CHECKING:
    from checkpointd.ledger import Entry


def add_to(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(latest)


def latest(
    context: typer.Context,
    where: Annotated[
        str, typer.Argument(metavar="WATCH_OR_DIR", help="A watch's name, a directory, or a URL.")
    ],
    series: Annotated[
        str | None, typer.Option("--series", help="Its label, such as 'ckpt-{}'.")
    ] = None,
    requires: Annotated[
        list[str] | None,
        typer.Option(
            "--requires",
            metavar="SHOWN",
            help="What it must have shown: intact, loads, runs, predicts, resumes. Repeatable.",
        ),
    ] = None,
    json: Json = False,
) -> int:
    """Print the path of the newest valid checkpoint, and nothing else.

    A path is printed only while its content on disk is what was verified. Exits with 4 if there is
    none, with 2 if several series match, with 3 if it is not certain which one is the newest. A
    name without a slash means a watch if one is called so.
    """
    from checkpointd.retention.eligibility import has_shown
    from checkpointd.retention.newest_valid import newest_valid
    from checkpointd.retention.series_order import order_series
    from checkpointd.retention.state_orders import saving_orders_beside

    required = required_words(requires or [])
    workspace = workspace_of(context)
    present = _present(workspace, where, series)
    if not present and series is not None:
        present = _present(workspace, where, None)
    known = sorted({(e.checkpoint.watch, e.checkpoint.series) for e in present})
    chosen = [key for key in known if series in (None, key[1])]
    if not chosen:
        raise CliError(_unknown(where, series, known), NOTHING)
    if len(chosen) > 1:
        raise CliError(_ambiguous(where, chosen), USAGE)
    ((watch, label),) = chosen
    of_series = [e for e in present if e.checkpoint.series == label]
    by = workspace.locations().orders.get(watch, "witnesses")
    listed = saving_orders_beside(of_series)
    order = order_series(of_series, time.time(), by=by, saving_orders=listed)[watch, label]
    refuse_unseen(e for e in order.newest_first if has_shown(e, required))
    newest = newest_valid(order, required)
    if newest.undecided:
        cure = (
            'Set `order = "number"` or `order = "save_time"` in `[watch.retention]` of the watch.'
        )
        raise CliError(f"{newest.undecided} {cure}", INCONCLUSIVE)
    entry = newest.entry
    if entry is None:
        raise CliError(_none_valid(where, required, newest_valid(order, ()).entry), NOTHING)
    if json:
        from checkpointd.cli.output import json_line
        from checkpointd.ledger.public import public_entry

        json_line(public_entry(entry))
    elif sys.stdout.isatty():
        from checkpointd.core.text import printable

        print(printable(entry.checkpoint.path))
    else:
        # As bytes: a name that is not UTF-8 must reach the shell as it is on disk.
        sys.stdout.flush()
        sys.stdout.buffer.write(os.fsencode(entry.checkpoint.path) + b"\n")
    return OK


def _none_valid(where: str, required: frozenset[str], newest: "Entry | None") -> str:
    """That there is none, and which valid one has shown less than is required."""
    if not required:
        return f"There is no valid checkpoint in {where}."
    message = f"No valid checkpoint in {where} has shown {', '.join(sorted(required))}."
    if newest is None or newest.report is None:
        return message
    shown = ", ".join(newest.report.shown) or "nothing"
    return (
        f"{message} The newest valid one, {newest.checkpoint.path}, has shown {shown}; "
        "`checkpointd show` says of each check why it was skipped."
    )


def required_words(names: list[str]) -> frozenset[str]:
    """Read what `--requires` was given.

    Raises:
        CliError: it is nothing that a report can show.
    """
    from checkpointd.core.suite import SHOWS

    required = frozenset(word for name in names for word in name.split(",") if word)
    unknown = sorted(required - set(SHOWS.values()))
    if unknown:
        raise CliError(
            f"--requires: {unknown[0]!r} is not something that a report can show; choose from "
            f"{', '.join(SHOWS.values())}.",
            USAGE,
        )
    return required


def _present(workspace: Workspace, where: str, series: str | None) -> "list[Entry]":
    """The checkpoints that are known, and not gone, in a watch or below a directory."""
    locations = workspace.locations()
    watch = where if where in locations.roots and "/" not in where else None
    if watch is None and not _is_directory(where):
        # Without a config, or with a broken one, the ledger may know the watch all the same.
        if not locations.roots and (known := workspace.present(where, series=series)):
            return known
        names = f"; the watches are {', '.join(locations.roots)}" if locations.roots else ""
        raise CliError(f"{where} is neither a watch nor a directory{names}.", USAGE)
    if watch is not None:
        return workspace.present(watch, series=series)
    return workspace.present(None, series=series, below=aliases(where, locations))


def _is_directory(path: str) -> bool:
    if is_url(path):
        return True
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except PermissionError as error:
        raise denied(error, path) from None
    except OSError:
        return False


def _unknown(where: str, series: str | None, keys: list[tuple[str, str]]) -> str:
    if series is None or not keys:
        return f"No checkpoint is known in {where}."
    labels = ", ".join(repr(label) for label in sorted({label for _, label in keys}))
    return f"There is no series {series!r} in {where}; choose from {labels}."


def _ambiguous(where: str, keys: list[tuple[str, str]]) -> str:
    from shlex import quote

    labels = [label for _, label in keys]
    lines = [f"Several series match in {where}; choose one with:"]
    for watch, label in sorted(keys):
        # A label that several watches have needs the watch's name too.
        chosen = f"  --series {quote(label)}"
        lines.append(f"  latest {quote(watch)}{chosen}" if labels.count(label) > 1 else chosen)
    return "\n".join(lines)
