"""Puts the commands together."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated

import typer

from checkpointd.cli.arguments import MODULES
from checkpointd.cli.workspace import Workspace


def _version(is_wanted: bool) -> None:
    if is_wanted:
        from checkpointd import __version__

        print(f"checkpointd {__version__}")
        raise typer.Exit


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


def make_app(modules: Sequence[str] = MODULES) -> typer.Typer:
    """Make the program with the commands of some modules."""
    app = typer.Typer(
        name="checkpointd",
        help="Verify every TensorFlow checkpoint as it is saved, and prune old ones by policy.",
        epilog="Exit codes: 0 success, 1 invalid, 2 usage or no such path, 3 inconclusive, "
        "4 nothing found, 69 no daemon or no permission, 70 internal error, 78 wrong config.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for name in modules:
        import_module(f"checkpointd.cli.{name}").add_to(app)
    return app
