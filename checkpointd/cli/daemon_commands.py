"""`run` and `demo` start a daemon; `status` and `reload` talk to one."""

from typing import Annotated

import typer

from checkpointd.cli.daemon_start import config_error_if_unreadable, start_daemon
from checkpointd.cli.errors import CONFIG, INVALID, OK, CliError
from checkpointd.cli.options import Json
from checkpointd.cli.workspace import workspace_of


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.command()(run)
    app.command()(worker)
    app.command()(status)
    app.command()(reload)
    app.command()(demo)


def run(context: typer.Context) -> int:
    """Run the daemon in the foreground. SIGTERM stops it, SIGHUP reloads its config."""
    return start_daemon(workspace_of(context).option)


def worker(context: typer.Context) -> int:
    """Verify checkpoints that daemons on other hosts hand out through a Dask scheduler.

    It reads [dispatch] and [worker] of its config, and needs the same files at the same paths as
    the daemon. SIGTERM stops it. See `checkpointd docs fleet`.
    """
    from checkpointd.daemon.fleet_worker import run_worker

    with config_error_if_unreadable():
        return run_worker(workspace_of(context).config_path)


def demo(
    exit_at_end: Annotated[
        bool, typer.Option("--exit", help="Exit when the training job has ended.")
    ] = False,
) -> int:
    """Run a real training job beside a real daemon, in a temporary directory.

    The job saves good checkpoints, some are spoiled on purpose, and each verdict is printed as it
    comes.
    """
    from checkpointd.demo.show import main

    return main(exit_at_end)


def status(context: typer.Context, json: Json = False) -> int:
    """Show the daemon's state.

    Its watches, queue, workers, latest verdicts, disk, and every hold with its cure.
    """
    from checkpointd.cli.client import Client
    from checkpointd.cli.output import json_line
    from checkpointd.cli.status_view import show_status
    from checkpointd.observe.status import DaemonStatus

    client = Client(workspace_of(context).locations().state_dir)
    public = client.get("/api/v1/status")
    status = DaemonStatus.from_public(public)
    if json:
        json_line(public)
    else:
        show_status(status, client.get("/api/v1/series"))
    return OK if status.healthy else INVALID


def reload(context: typer.Context, json: Json = False) -> int:
    """Make the daemon reload its config, and print the outcome."""
    import sys

    from checkpointd.cli.client import Client
    from checkpointd.cli.output import console, json_line, print_text
    from checkpointd.core.text import printable

    try:
        answer = Client(workspace_of(context).state_dir()).post("reload")
    except CliError as error:
        if error.code != CONFIG:
            raise
        answer = {"ok": False, "message": str(error)}
    good = bool(answer.get("ok"))
    if json:
        json_line(answer)
    else:
        out = console(sys.stdout if good else sys.stderr)
        for line in str(answer.get("message", "")).splitlines():
            print_text(out, printable(line), 4)
        for name, preview in dict(answer.get("watches", {})).items():
            print_text(out, printable(f"{name}: {preview}"), 4)
        if not good:
            print_text(out, "The daemon keeps its old config.")
    return OK if good else CONFIG
