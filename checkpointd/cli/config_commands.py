"""`config check`, `config show`, `config example`."""

from typing import TYPE_CHECKING

import typer

from checkpointd.cli.errors import CONFIG, OK
from checkpointd.cli.options import Json
from checkpointd.cli.place import place_of

if TYPE_CHECKING:
    from pathlib import Path

    from checkpointd.config import Config

config_app = typer.Typer(
    help="Check, show or make up a config.", no_args_is_help=True, rich_markup_mode=None
)


def add_to(app: typer.Typer) -> None:
    """Register the commands."""
    app.add_typer(config_app, name="config")


@config_app.command()
def check(context: typer.Context, json: Json = False) -> int:
    """Tell every error of the config with its place in the file."""
    from checkpointd.cli.output import json_line, shown
    from checkpointd.config import ConfigError

    place = place_of(context)
    path = place.config_path.absolute()
    try:
        config = place.config()
        _check_interpreters(path, config)
    except ConfigError as error:
        if not json:
            raise
        for problem in error.problems:
            json_line(
                {
                    "path": str(path),
                    "line": problem.line or None,
                    "key": problem.place,
                    "message": problem.message,
                }
            )
        return CONFIG
    if not json:
        count = len(config.watch)
        print(f"{shown(str(path))}: good, {count} watch{'' if count == 1 else 'es'}")
        if not count:
            print("Nothing is watched yet: add a [[watch]] with a name and a path.")
    return OK


def _check_interpreters(path: "Path", config: "Config") -> None:
    """Look at the interpreters that the config names; the daemon starts without them.

    Raises:
        ConfigError: one can load nothing, as far as is seen without running it.
    """
    from checkpointd.config import ConfigError, Problem
    from checkpointd.config.lines import line_of, lines
    from checkpointd.dispatch.installed import hindrance

    named = [(i, str(w.verify.python)) for i, w in enumerate(config.watch) if w.verify.python]
    known = lines(path.read_text(encoding="utf-8")) if named else {}
    problems = [
        Problem(
            f"watch[{number}].verify.python",
            f"{python} {told}",
            line_of(("watch", number, "verify", "python"), known),
        )
        for number, python in named
        if (told := hindrance(python))
    ]
    if problems:
        raise ConfigError(path, problems)


@config_app.command()
def show(context: typer.Context, json: Json = False) -> int:
    """Print the config as it holds, with every default and absolute paths, as TOML."""
    from checkpointd.cli.output import json_line
    from checkpointd.config.dump import dump

    config = place_of(context).config()
    if json:
        json_line(config.to_public())
    else:
        print(dump(config), end="")
    return OK


@config_app.command()
def example() -> int:
    """Print a config that names every key, with comments."""
    from importlib.resources import files

    text = files("checkpointd.config").joinpath("example.toml").read_text(encoding="utf-8")
    print(text, end="")
    return OK
