"""Puts the commands together."""

from pathlib import Path
from typing import Annotated

import typer

from checkpointd.cli import (
    attest_commands,
    config_commands,
    daemon_commands,
    diff_commands,
    docs_commands,
    doctor_commands,
    hook_commands,
    kubernetes_commands,
    latest_commands,
    list_commands,
    monitoring_commands,
    pin_commands,
    retention_commands,
    systemd_commands,
    tag_commands,
    trash_commands,
    verify_commands,
    version_commands,
    wait_commands,
)
from checkpointd.cli.workspace import Workspace

app = typer.Typer(
    name="checkpointd",
    help="Verify every TensorFlow checkpoint as it is saved, and prune old ones by policy.",
    epilog="Exit codes: 0 success, 1 invalid, 2 usage or no such path, 3 inconclusive, 4 nothing "
    "found, 69 no daemon or no right, 70 internal error, 78 wrong config.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from checkpointd import __version__

        print(f"checkpointd {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            "-c",
            metavar="FILE",
            readable=False,  # main says who may read it; typer would give exit code 2
            help="config.toml; default: $CHECKPOINTD_CONFIG, else the service's, else your own.",
        ),
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback prints it
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    context.obj = Workspace(config)


for group in (
    daemon_commands,
    verify_commands,
    diff_commands,
    attest_commands,
    list_commands,
    latest_commands,
    wait_commands,
    retention_commands,
    trash_commands,
    pin_commands,
    tag_commands,
    hook_commands,
    config_commands,
    doctor_commands,
    systemd_commands,
    monitoring_commands,
    kubernetes_commands,
    docs_commands,
    version_commands,
):
    group.add_to(app)
