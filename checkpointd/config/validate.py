"""From config.toml to `Config`: every error at once, each with its line in the file."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_origin

from pydantic import ValidationError

from checkpointd.config.contradictions import contradictions
from checkpointd.config.errors import ConfigError, Problem
from checkpointd.config.lines import line_of, lines
from checkpointd.config.locate import absolute, default_state_dir, read
from checkpointd.config.section import section_in
from checkpointd.config.settings import Config, WatchSettings

if TYPE_CHECKING:
    from checkpointd.config.verify import EvaluateConfig

    Loc = tuple[str | int, ...]

_OF_BUCKETS = {"poll_interval": 60.0, "scrub_every": None}
"""Defaults of a bucket's watch: each listing and each byte that is read costs money."""

_SENTENCES = {
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "finite_number": "expected a finite number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "string_type": "expected text in quotes",
    "string_too_short": "must not be empty",
    "path_type": "expected a path in quotes",
    "too_short": "must not be empty",
    "tuple_type": 'expected a list, such as ["…"]',
    "dict_type": 'expected a table, such as { name = "…" }',
    "model_type": "expected a table",
    "model_attributes_type": "expected a table",
}

_BOUNDS = {
    "greater_than": "must be more than {gt:g}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be {expected}",
    "string_too_long": "must be at most {max_length} characters long",
    "string_pattern_mismatch": "may contain only letters, digits and _ . -",
}


def load(path: Path) -> Config:
    """Read, validate and resolve a config.

    Raises:
        ConfigError: with every problem that was found.
    """
    data, text = read(path)
    return parse(data, path, text)


def parse(data: dict[str, Any], path: Path, text: str = "") -> Config:
    """Validate what a TOML file held; relative paths are relative to `path`'s directory.

    Raises:
        ConfigError: with every problem that was found.
    """
    base = path.absolute().parent
    known = lines(text)
    problems = [
        Problem(key_of(loc), message, line_of(loc, known))
        for loc, message in contradictions(data, base)
    ]
    config: Config | None = None
    try:
        config = Config.model_validate(data)
    except ValidationError as error:
        problems += [_problem(e, data, known) for e in error.errors(include_url=False)]
    if problems or config is None:
        raise ConfigError(path, sorted(problems, key=lambda p: (p.line, p.key)))
    return _resolve(config, base)


def _problem(error: Any, data: Any, known: dict[Loc, int]) -> Problem:
    loc: Loc = tuple(error["loc"])
    if loc[-1:] == ("[key]",):  # the name itself is wrong, not its value
        loc = loc[:-1]
    kind, value = error["type"], error.get("input")
    message = _SENTENCES.get(kind, error["msg"].removeprefix("Value error, "))
    limits = error.get("ctx", {})
    if kind in _BOUNDS:
        message = _BOUNDS[kind].format_map(limits)
    written = _as_in_file(loc, data)
    if kind == "extra_forbidden":
        message = "there is no such key" + _did_you_mean(loc)
    elif kind == "missing":
        message = "is missing"
    elif kind != "string_too_short" and not isinstance(value, dict | list):
        message = f"{message[0].lower()}{message[1:]}, got {_as_written(value)}"
    return Problem(key_of(written), message, line_of(written, known))


def _as_in_file(loc: Loc, data: Any) -> Loc:
    """Leave out the parts that a short form does not have: one table for a list, a plain value."""
    written: list[str | int] = []
    for part in loc:
        if isinstance(data, list if isinstance(part, int) else dict):
            written.append(part)
            data = _item(data, part)
        elif data is None:
            written.append(part)
    return tuple(written)


def _item(data: Any, part: str | int) -> Any:
    if isinstance(part, int):
        return data[part] if part < len(data) else None
    return data.get(part)


def _as_written(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def key_of(loc: tuple[str | int, ...]) -> str:
    """Write the path of a key as people do: `watch[0].name`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return text.lstrip(".")


def _did_you_mean(loc: tuple[str | int, ...]) -> str:
    model: Any = Config
    named = False
    for part in loc[:-1]:
        if isinstance(part, int) or named:
            named = False
            continue
        field = getattr(model, "model_fields", {}).get(part)
        if field is None:
            return ""
        inner = section_in(field.annotation)
        if inner is None:
            return ""
        model, named = inner, get_origin(field.annotation) is dict
    known = list(getattr(model, "model_fields", {}))
    close = difflib.get_close_matches(str(loc[-1]), known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; choose from {', '.join(known)}"


def _resolve(config: Config, base: Path) -> Config:
    def watch(settings: WatchSettings) -> WatchSettings:
        verify = settings.verify.model_copy(
            update={
                "python_path": tuple(absolute(p, base) for p in settings.verify.python_path),
                "read_paths": tuple(absolute(p, base) for p in settings.verify.read_paths),
                "signature_key": absolute(settings.verify.signature_key, base)
                if settings.verify.signature_key
                else None,
                "python": absolute(settings.verify.python, base)
                if settings.verify.python
                else None,
                "evaluate": _resolve_evaluate(settings.verify.evaluate, base),
            }
        )
        publish = settings.publish.model_copy(
            update={
                "verdict_file": directory(settings.publish.verdict_file, "verdicts"),
                "latest_link": directory(settings.publish.latest_link, "latest"),
            }
        )
        policy = settings.retention
        trash_dir = absolute(policy.trash_dir, base) if policy.trash_dir else None
        links = tuple(absolute(p, base) for p in policy.links)
        update: dict[str, Any] = {
            "path": settings.bucket or absolute(settings.path, base),
            "verify": verify,
            "retention": policy.model_copy(update={"links": links, "trash_dir": trash_dir}),
            "publish": publish,
        }
        if settings.bucket:
            update |= {k: v for k, v in _OF_BUCKETS.items() if k not in settings.model_fields_set}
        return settings.model_copy(update=update)

    def directory(where: bool | Path, default: str) -> bool | Path:
        if where is True:
            return state_dir / default
        return absolute(where, base) if isinstance(where, Path) else where

    state = config.daemon.state_dir
    state_dir = absolute(state, base) if state else default_state_dir(base)
    daemon = config.daemon.model_copy(update={"state_dir": state_dir})
    return config.model_copy(
        update={
            "daemon": daemon,
            "web": config.web.resolved(base),
            "attest": config.attest.model_copy(
                update={
                    "key_file": absolute(config.attest.key_file, base)
                    if config.attest.key_file
                    else None
                }
            ),
            "dispatch": config.dispatch.resolved(base),
            "watch": tuple(watch(w) for w in config.watch),
        }
    )


def _resolve_evaluate(evaluate: EvaluateConfig | None, base: Path) -> EvaluateConfig | None:
    if evaluate is None or evaluate.data is None:
        return evaluate
    return evaluate.model_copy(update={"data": absolute(evaluate.data, base)})
