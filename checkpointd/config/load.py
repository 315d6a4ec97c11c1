"""From config.toml to `Config`: every error at once, each with its place in the file."""

from __future__ import annotations

import difflib
import os
import tomllib
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, get_args

import platformdirs
from pydantic import BaseModel, ValidationError

from checkpointd.config.settings import Config, WatchSettings

DEFAULT_PATH = Path("/etc/checkpointd/config.toml")


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a config: where it is and what to do."""

    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class ConfigError(Exception):
    """A config that cannot be used; `problems` lists all that is wrong with it."""

    def __init__(self, path: Path, problems: list[Problem]) -> None:
        super().__init__("\n".join(f"{path}: {problem}" for problem in problems))
        self.path = path
        self.problems = problems


def find(option: Path | None) -> Path:
    """The config's path: `--config`, else `$CHECKPOINTD_CONFIG`, else the system's."""
    if option is not None:
        return option
    named = os.environ.get("CHECKPOINTD_CONFIG")
    return Path(named) if named else DEFAULT_PATH


def load(path: Path) -> Config:
    """Read, validate and resolve a config.

    Raises:
        ConfigError: with every problem that was found.
    """
    try:
        text = path.read_bytes().decode()
        data = tomllib.loads(text)
    except FileNotFoundError:
        raise ConfigError(
            path,
            [Problem("", "there is no such file; `checkpointd config example` prints one")],
        ) from None
    except IsADirectoryError:
        raise ConfigError(path, [Problem("", "this is a directory, not a config")]) from None
    except OSError as error:
        raise ConfigError(path, [Problem("", f"cannot be read: {error.strerror}")]) from None
    except UnicodeDecodeError as error:
        raise ConfigError(path, [Problem("", f"is not UTF-8 at byte {error.start}")]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(path, [Problem("", f"is not TOML: {error}")]) from None
    return parse(data, path, text)


def parse(data: dict[str, Any], path: Path, text: str = "") -> Config:
    """Validate what a TOML file held; relative paths are relative to `path`'s directory.

    Raises:
        ConfigError: with every problem that was found.
    """
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        problems = [_problem(e, text) for e in error.errors(include_url=False)]
        raise ConfigError(path, problems) from None
    config = _resolve(config, path.absolute().parent)
    problems = _contradictions(config)
    if problems:
        raise ConfigError(path, problems)
    return config


def _problem(error: Any, text: str) -> Problem:
    loc = list(error["loc"])
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "there is no such key" + _did_you_mean(loc)
    elif error["type"] == "missing":
        message = "is missing"
    elif "input" in error and not isinstance(error["input"], dict | list):
        message = f"{message[0].lower()}{message[1:]}, got {error['input']!r}"
    place = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}"
        for part in loc
        if not str(part).startswith(("function-", "literal", "constrained-"))
    )
    line = _line_of(loc, text)
    place = place.lstrip(".")
    return Problem(f"line {line}: {place}" if line else place, message)


def _line_of(loc: list[Any], text: str) -> int:
    """Find the line of a key, following `[table]` and `[[table]]` headers; 0 if there is none."""
    names = [str(part) for part in loc if isinstance(part, str)]
    index = next((part for part in loc if isinstance(part, int)), None)
    table: list[str] = []
    element = -1
    header_line = 0
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if stripped.startswith("["):
            table = [part.strip(" \"'") for part in stripped.split("]")[0].strip("[ ").split(".")]
            element += stripped.startswith("[[")
            here = index is None or element == index
            if here and table == names[: len(table)]:
                header_line = number
            continue
        key = stripped.split("=")[0].strip(" \"'")
        here = index is None or table[:1] != ["watch"] or element == index
        if here and [*table, key] == names[: len(table) + 1]:
            return number
    return header_line


def _did_you_mean(loc: list[Any]) -> str:
    model: Any = Config
    for part in loc[:-1]:
        if isinstance(part, int):
            continue
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            return ""
        inner = [a for a in (field.annotation, *get_args(field.annotation)) if _is_section(a)]
        if not inner:
            return ""
        model = inner[0]
    known = list(getattr(model, "model_fields", {}))
    close = difflib.get_close_matches(str(loc[-1]), known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(known)}"


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def default_state_dir() -> Path:
    """`$STATE_DIRECTORY` as systemd sets it, else the user's own state directory."""
    given = os.environ.get("STATE_DIRECTORY", "").split(":")[0]
    return Path(given) if given else Path(platformdirs.user_state_dir("checkpointd"))


def _resolve(config: Config, base: Path) -> Config:
    def absolute(path: Path) -> Path:
        return Path(os.path.normpath(base / path.expanduser()))

    def watch(settings: WatchSettings) -> WatchSettings:
        verify = settings.verify.model_copy(
            update={
                "python_path": tuple(absolute(p) for p in settings.verify.python_path),
                "python": absolute(settings.verify.python) if settings.verify.python else None,
            }
        )
        return settings.model_copy(update={"path": absolute(settings.path), "verify": verify})

    state = config.daemon.state_dir
    daemon = config.daemon.model_copy(
        update={"state_dir": absolute(state) if state else default_state_dir()}
    )
    return config.model_copy(
        update={"daemon": daemon, "watch": tuple(watch(w) for w in config.watch)}
    )


def _contradictions(config: Config) -> list[Problem]:
    problems = []
    for i, settings in enumerate(config.watch):
        if settings.path == Path("/"):
            problems.append(Problem(f"watch[{i}].path", "/ cannot be watched; name a directory"))
        if config.state_dir.is_relative_to(settings.path):
            problems.append(
                Problem(
                    "daemon.state_dir",
                    f"{config.state_dir} lies inside watch {settings.name!r}; put it elsewhere",
                )
            )
    for (i, one), (j, two) in combinations(enumerate(config.watch), 2):
        if one.name == two.name:
            problems.append(
                Problem(f"watch[{j}].name", f"{two.name!r} is also the name of watch[{i}]")
            )
        if one.path.is_relative_to(two.path) or two.path.is_relative_to(one.path):
            problems.append(
                Problem(f"watch[{j}].path", f"{two.path} overlaps with {one.path} of watch[{i}]")
            )
    return problems
