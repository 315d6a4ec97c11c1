"""`config check`, `config show`, `config example`."""

from typing import TYPE_CHECKING, Annotated

import typer

from checkpointd.cli.errors import CONFIG, OK
from checkpointd.cli.options import Json
from checkpointd.cli.workspace import workspace_of

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.config import Problem

config_app = typer.Typer(
    help="Check, show or write a config.", no_args_is_help=True, rich_markup_mode=None
)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(config_app, name="config")


@config_app.command()
def check(context: typer.Context, json: Json = False) -> int:
    """Report every error of the config, with its line.

    Also whether what it names is there and can be used by the user of the service: roots,
    interpreters, modules, hooks, keys. Where checkpoints are known already, also what each watch
    would remove under this config.
    """
    from checkpointd.cli.named_files import check_named_files
    from checkpointd.cli.output import console, print_text
    from checkpointd.cli.policy_preview import previews
    from checkpointd.cli.service_account import account_of
    from checkpointd.config import ConfigError
    from checkpointd.core.text import printable

    workspace = workspace_of(context)
    path = workspace.config_path.absolute()
    try:
        config = workspace.config()
        warnings = check_named_files(path, config, account_of(config.state_dir, 0))
    except ConfigError as error:
        if not json:
            raise
        for problem in error.problems:
            _print_problem(path, problem, "error")
        return CONFIG
    if json:
        for warning in warnings:
            _print_problem(path, warning, "warning")
        return OK
    count = len(config.watch)
    out = console()
    print_text(out, f"{printable(str(path))}: OK, {count} watch{'' if count == 1 else 'es'}")
    if not count:
        print_text(out, "Nothing is watched yet: add a [[watch]] with a name and a path.")
    for warning in warnings:
        print_text(out, printable(f"{path}: warning: {warning}"), 4)
    for name, preview in previews(config):
        print_text(out, printable(f"{name}: {preview}"), 4)
    return OK


def _print_problem(path: "Path", problem: "Problem", severity: str) -> None:
    from checkpointd.cli.output import json_line

    json_line(
        {
            "path": str(path),
            "line": problem.line or None,
            "key": problem.key,
            "severity": severity,
            "message": problem.message,
        }
    )


@config_app.command()
def show(context: typer.Context, json: Json = False) -> int:
    """Print the effective config as TOML, with all defaults and absolute paths."""
    from checkpointd.cli.output import json_line
    from checkpointd.config.dump import dump

    config = workspace_of(context).config()
    if json:
        json_line(config.to_public())
    else:
        print(dump(config), end="")
    return OK


@config_app.command()
def schema() -> int:
    """Print a JSON Schema of config.toml, for editors that complete and check TOML."""
    import json

    from checkpointd.config.schema import json_schema

    print(json.dumps(json_schema(), indent=2, ensure_ascii=False))
    return OK


@config_app.command()
def example(
    full: Annotated[
        bool, typer.Option("--full", help="Name every key, with its default and a comment.")
    ] = False,
) -> int:
    """Print a config to begin with, which needs a name and a path."""
    from importlib.resources import files

    name = "example.toml" if full else "minimal.toml"
    text = files("checkpointd.config").joinpath(name).read_text(encoding="utf-8")
    print(text, end="")
    return OK
