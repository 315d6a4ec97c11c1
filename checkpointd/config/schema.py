"""Descriptions of config.toml: every key for the manual, and a JSON Schema for editors.

Both are made from the pydantic models, so that they cannot lag behind them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_origin

from checkpointd.config.descriptions import described_config
from checkpointd.config.dump import DURATIONS, INLINE
from checkpointd.config.section import section_in
from checkpointd.config.settings import Config
from checkpointd.core.text import exact_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

FIRST = "0.1"
"""The version since which a key exists that has no `x-since` in its `json_schema_extra`."""

_TYPES = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "`true` or `false`",
    "object": "table",
}
_ANNOTATIONS = frozenset({"title", "x-type", "x-unit", "x-since"})


@dataclass(frozen=True)
class Key:
    """One key of config.toml, as the manual shows it.

    `table` is the header that it stands below, such as `[watch.verify]`; `name` includes the keys
    of inline tables, such as `keep_best.metric`. `type`, `default` and `description` are Markdown.
    """

    table: str
    name: str
    type: str
    default: str
    unit: str
    since: str
    description: str


def keys(model: type[BaseModel] | None = None, table: str = "", prefix: str = "") -> Iterator[Key]:
    """Yield every key of a section and of the sections in it.

    Args:
        model: the section; None: all of config.toml.
        table: its header without brackets, such as `watch.verify`.
        prefix: of names in inline tables, such as `keep_best.`.
    """
    model = described_config() if model is None else model
    schema = model.model_json_schema()
    tables = []
    for name, field in model.model_fields.items():
        inner = section_in(field.annotation)
        if inner is not None and name not in INLINE:
            tables.append((inner, f"{table}.{name}".lstrip(".")))
            continue
        given = schema["properties"][name]
        value = _without_null(given)
        yield Key(
            table=header(table),
            name=f"{prefix}{name}",
            type=_type(value),
            default=_default(name, given, required=field.is_required()),
            unit=str(_lookup(value, "x-unit")),
            since=str(_lookup(value, "x-since") or FIRST),
            description=given.get("description", ""),
        )
        if inner is not None:
            by_name = "METRIC." if get_origin(field.annotation) is dict else ""
            yield from keys(inner, table, f"{prefix}{name}.{by_name}")
    for inner, path in tables:
        yield from keys(inner, path)


def header(table: str) -> str:
    """Write the header of a table: `[watch.verify]`, or `[[watch]]` where there may be several."""
    if not table:
        return ""
    model: Any = Config
    annotation: Any = None
    for name in table.split("."):
        annotation = model.model_fields[name].annotation
        model = section_in(annotation)
    return f"[[{table}]]" if get_origin(annotation) is tuple else f"[{table}]"


def json_schema() -> dict[str, Any]:
    """Return a JSON Schema of config.toml: draft 7, which editors of TOML understand."""
    schema = described_config().model_json_schema(ref_template="#/definitions/{model}")
    definitions = schema.pop("$defs")
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "config.toml of checkpointd",
        **_plain(schema),
        "definitions": {name: _plain(section) for name, section in definitions.items()},
    }


def _plain(section: dict[str, Any]) -> dict[str, Any]:
    """Drop what only the manual needs and TOML does not have: null, and defaults in seconds."""
    properties = {}
    for name, given in section["properties"].items():
        value = _without_notes(_without_null(given))
        if name in DURATIONS and "default" in value:
            value["default"] = exact_duration(value["default"])
        properties[name] = value
    return {**_without_notes(section), "properties": properties}


def _without_notes(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_notes(item) for item in value]
    if isinstance(value, dict):
        return {k: _without_notes(v) for k, v in value.items() if k not in _ANNOTATIONS}
    return value


def _without_null(value: dict[str, Any]) -> dict[str, Any]:
    """Return a key's schema without the null that stands for an absent key."""
    options = [one for one in value.get("anyOf", ()) if one != {"type": "null"}]
    rest = {k: v for k, v in value.items() if k != "anyOf" and (k, v) != ("default", None)}
    if not options:
        return rest
    return {**options[0], **rest} if len(options) == 1 else {**rest, "anyOf": options}


def _lookup(value: dict[str, Any], annotation: str) -> Any:
    """Find an annotation of a key or of what its list holds."""
    items = value.get("items")
    inner = _lookup(items, annotation) if isinstance(items, dict) else ""
    return value.get(annotation, inner)


def _type(value: dict[str, Any]) -> str:
    if "x-type" in value:
        return str(value["x-type"])
    if "enum" in value:
        *others, last = (f'`"{word}"`' for word in value["enum"])
        return f"{', '.join(others)} or {last}"
    kind = value.get("type", "object")
    if kind == "array":
        inner = _type(value.get("items", {}))
        return "list of tables" if inner == "table" else f"list of {inner}"
    return _TYPES[kind]


def _default(name: str, schema: dict[str, Any], *, required: bool) -> str:
    if required:
        return "required"
    value = schema.get("default")
    if value is None:
        return ""
    if name in DURATIONS:
        return f'`"{exact_duration(value)}"`'
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, list):
        return f"`{json.dumps(value)}`"
    return f'`"{value}"`' if isinstance(value, str) else f"`{value:g}`"
