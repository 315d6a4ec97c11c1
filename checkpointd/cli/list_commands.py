"""`list` and `show`: the checkpoints that the ledger knows, and one report in full."""

import contextlib
import time
from typing import Annotated, Any

import typer

from checkpointd.cli.access import must_exist, why_not_current
from checkpointd.cli.errors import NOTHING, OK, USAGE, CliError
from checkpointd.cli.options import Json, PathArgument
from checkpointd.cli.workspace import Workspace, known_path, workspace_of

_LIMIT = 50
_STATES = ("valid", "invalid", "inconclusive", "pending", "writing", "superseded")


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command("list")(list_)
    app.command()(show)


def list_(
    context: typer.Context,
    watch: Annotated[
        str | None, typer.Argument(metavar="[WATCH]", help="Only those of one watch.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help=f"All of them, not only the newest {_LIMIT}.")
    ] = False,
    state: Annotated[
        list[str] | None,
        typer.Option(
            "--state",
            metavar="STATE",
            help=f"Only those that are {', '.join(_STATES)}. Repeatable.",
        ),
    ] = None,
    json: Json = False,
) -> int:
    """List the known checkpoints by series: the newest run first, and its last step first.

    With --json newest first by save time, whatever the series.
    """
    from checkpointd.cli.copies import copy_urls
    from checkpointd.cli.output import json_line
    from checkpointd.ledger.public import public_entry

    workspace = workspace_of(context)
    roots = workspace.locations().roots
    if watch is not None and roots and watch not in roots:
        raise CliError(f"There is no watch {watch!r}; choose from {', '.join(roots)}.", USAGE)
    wrong = next((name for name in state or () if name not in _STATES), None)
    if wrong is not None:
        raise CliError(
            f"--state: {wrong!r} is not a state; choose from {', '.join(_STATES)}.", USAGE
        )
    entries = workspace.present(
        watch, None if everything else _LIMIT + 1, frozenset(state or _STATES)
    )
    more = not everything and len(entries) > _LIMIT
    shown = entries[:_LIMIT] if more else entries
    copies = copy_urls(workspace, watch)
    if json:
        for entry in shown:
            json_line({**public_entry(entry), "copy": copies.get(entry.path)})
        return OK
    if not shown:
        print(f"No checkpoint is {' or '.join(state)}." if state else "No checkpoint is known yet.")
        return OK
    from checkpointd.cli.list_view import by_series, show_list

    ordered = by_series(shown, time.time())
    show_list([{**public_entry(entry), "copy": copies.get(entry.path)} for entry in ordered])
    if more:
        print(f"Only the newest {_LIMIT} are shown; --all shows the rest.")
    return OK


def show(context: typer.Context, path: PathArgument, json: Json = False) -> int:
    """Show the full report of one checkpoint, check by check."""
    from checkpointd.cli.output import json_line
    from checkpointd.core.text import printable
    from checkpointd.ledger.public import public_detail

    workspace = workspace_of(context)
    known = known_path(workspace, path)
    ledger = workspace.ledger()
    try:
        entry, replica = ledger.entry(known), ledger.replica(known)
    finally:
        ledger.close()
    if entry is None:
        must_exist(path)
        raise CliError(
            f"{printable(known)} is not known: it is not in any watch, or the daemon has not seen "
            "it yet; `checkpointd verify` verifies it now.",
            NOTHING,
        )
    if json:
        copy = replica.of_content(entry.generation.key) if replica is not None else None
        json_line({**public_detail(entry), "replica": copy})
        return OK
    _print_detail(workspace, entry, replica)
    return OK


def _print_detail(workspace: Workspace, entry: Any, replica: Any) -> None:
    from checkpointd.cli.output import console, print_text, when
    from checkpointd.cli.verdicts import print_report
    from checkpointd.core.text import duration, printable, sentence, size
    from checkpointd.ledger.public import public_detail

    public = public_detail(entry)
    out = console()
    step = f", step {public['step']}" if public["step"] is not None else ""
    rows = [
        ("format", f"{public['format']}, {size(public['size_bytes'])}"),
        ("series", f"{public['series'] or 'its own'}{step}, in watch {public['watch']}"),
        ("saved", when(public["saved_at"])),
    ]
    if public["metrics"]:
        metrics = ", ".join(f"{k} {v:g}" for k, v in public["metrics"].items())
        rows.append(("metrics", metrics))
    rows += _copies(workspace, entry)
    if replica is not None:
        is_its_own = replica.of_content(entry.generation.key) is not None
        earlier = "" if is_its_own else ", of what was there before"
        rows.append(("copy", f"{replica.url}{earlier}, last seen {when(replica.seen_at)}"))
    rows.extend(_marks(public))
    report = entry.report
    if report is None:
        print_text(out, f"{public['state'].upper()}  {printable(public['path'])}")
        if public["message"]:
            print_text(out, sentence(public["message"]))
        if public["state"] == "writing":
            print_text(out, printable(_until_when(workspace, public)))
        for name, value in rows:
            print_text(out, f"{name:<10}{printable(value)}")
        return
    if report.facts.writer:
        rows.insert(1, ("writer", report.facts.writer))
    rows.append(("verified", f"{when(report.finished_at)}, in {duration(report.duration_seconds)}"))
    rows.append(("shown", ", ".join(report.shown) or "nothing"))
    if public["state"] != public["verdict"]:
        rows.append(("now", public["state"]))
    elif why := why_not_current(entry):
        rows.append(("now", why))
    print_report(out, public, rows)


def _copies(workspace: Workspace, entry: Any) -> list[tuple[str, str]]:
    """What the vault has of a path."""
    from checkpointd.cli.output import when
    from checkpointd.retention.vault import Vault

    root = workspace.locations().roots.get(entry.checkpoint.watch)
    with contextlib.suppress(OSError):
        copy = Vault(str(root)).find(entry.path) if root else None
        if copy is not None:
            saved = when(copy.manifest.generation.saved_at)
            text = f"a copy of what was saved {saved}: `checkpointd restore` brings it back"
            return [("vault", text)]
    return []


def _marks(public: dict[str, Any]) -> list[tuple[str, str]]:
    """What people have put on a checkpoint."""
    pinned = [("pinned", "yes: it is never pruned")] if public["pinned"] else []
    return pinned + ([("tags", ", ".join(public["tags"]))] if public["tags"] else [])


def _until_when(workspace: Workspace, public: dict[str, Any]) -> str:
    """When a checkpoint that is not finished gets its verdict, at the latest."""
    from checkpointd.config import ConfigError
    from checkpointd.core.text import exact_duration

    after = "torn_after"
    with contextlib.suppress(ConfigError):
        watches = workspace.config().watch if workspace.has_config else ()
        waits = {watch.name: watch.torn_after for watch in watches}
        if public["watch"] in waits:
            after += f" = {exact_duration(waits[public['watch']])}"
    return (
        "It counts as still being written. If it does not change, it is verified as it is at the "
        f"latest {after} after its last change."
    )
