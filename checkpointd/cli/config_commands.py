"""`config check`, `config show`, `config example`."""

from typing import TYPE_CHECKING

import typer

from checkpointd.cli.errors import CONFIG, OK
from checkpointd.cli.options import Json
from checkpointd.cli.workspace import workspace_of

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.config import Config, Problem

    Loc = tuple[str | int, ...]

config_app = typer.Typer(
    help="Check, show or write a config.", no_args_is_help=True, rich_markup_mode=None
)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(config_app, name="config")


@config_app.command()
def check(context: typer.Context, json: Json = False) -> int:
    """Report every error of the config, with its line.

    Where checkpoints are known already, also what each watch would remove under this config.
    """
    from checkpointd.cli.policy_preview import previews
    from checkpointd.config import ConfigError
    from checkpointd.core.text import printable

    workspace = workspace_of(context)
    path = workspace.config_path.absolute()
    try:
        config = workspace.config()
        warnings = _check_files(path, config)
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
    print(f"{printable(str(path))}: OK, {count} watch{'' if count == 1 else 'es'}")
    if not count:
        print("Nothing is watched yet: add a [[watch]] with a name and a path.")
    for warning in warnings:
        print(printable(f"{path}: warning: {warning}"))
    for name, preview in previews(config):
        print(printable(f"{name}: {preview}"))
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


def _problem(path: "Path", loc: "Loc", message: str) -> "Problem":
    """Return the error at a key, with its line."""
    from checkpointd.config import Problem
    from checkpointd.config.lines import line_of, lines
    from checkpointd.config.validate import key_of

    return Problem(key_of(loc), message, line_of(loc, lines(path.read_text(encoding="utf-8"))))


def _check_files(path: "Path", config: "Config") -> "list[Problem]":
    """Check the interpreters, keys and certificates that the config names.

    The daemon starts without the interpreters, and not without the keys.

    Returns:
        Warnings: what a person should check although it is not an error.

    Raises:
        ConfigError: one of them cannot be used, as far as can be seen without running it.
    """
    from checkpointd.cli.policy_preview import trash_problems
    from checkpointd.config import ConfigError
    from checkpointd.config.advice import advice
    from checkpointd.dispatch.python_installation import why_unusable
    from checkpointd.observe.web.access import warnings as web_warnings
    from checkpointd.observe.web.credentials import CredentialsError, load

    named = [(i, str(w.verify.python)) for i, w in enumerate(config.watch) if w.verify.python]
    problems = [
        _problem(path, ("watch", number, "verify", "python"), f"{python} {why}")
        for number, python in named
        if (why := why_unusable(python))
    ]
    warnings = []
    try:
        warnings = web_warnings(config.web, load(config.web))
    except CredentialsError as error:
        problems += [_problem(path, t.loc, t.message) for t in error.problems]
    if problems:
        raise ConfigError(path, sorted(problems, key=lambda p: (p.line, p.key)))
    found = [_problem(path, w.loc, w.message) for w in warnings]
    found += [_problem(path, loc, message) for loc, message in advice(config)]
    return [*found, *(_problem(path, loc, message) for loc, message in trash_problems(config))]


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
def example() -> int:
    """Print a config that names every key, with comments."""
    from importlib.resources import files

    text = files("checkpointd.config").joinpath("example.toml").read_text(encoding="utf-8")
    print(text, end="")
    return OK
