"""From a resolved `Config` back to TOML: what `config show` prints, and `load` reads again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from checkpointd.core.text import exact_duration, utf8
from checkpointd.retention_rules import Value
from checkpointd.retention_rules.table import RULES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.config.settings import Config

DURATIONS = frozenset(
    {
        "timeout",
        "idle_exit",
        "poll_interval",
        "scrub_every",
        "min_age",
        "settle",
        "torn_after",
        "trash_ttl",
        *(s.name for s in RULES if [o.type for o in s.options] == [Value.DURATION]),
    }
)
"""The keys that hold seconds and are written as `"30m"`."""

PERCENTAGES = frozenset({"prune_defer", "duty_cycle"})
"""The keys that hold a share and are written as `"80%"`."""

INLINE = frozenset(
    {
        *("basic_auth", "bounds", "custom_objects", "drift", "evaluate"),
        *(s.name for s in RULES if len(s.options) > 1),
    }
)
"""The keys whose tables are written in one line."""


def dump(config: Config) -> str:
    """Write a config as TOML, with every default spelled out; what is unset is left out."""
    return "\n".join(_table(config.to_public(), ())).lstrip("\n") + "\n"


def _table(table: dict[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    below: list[tuple[str, Any]] = []
    for key, value in table.items():
        if key not in INLINE and _is_table(value):
            below.append((key, value))
        else:
            yield f"{key} = {_value(key, value)}"
    for key, value in below:
        name = ".".join((*path, key))
        for element in value if isinstance(value, list) else [value]:
            yield ""
            yield f"[[{name}]]" if isinstance(value, list) else f"[{name}]"
            yield from _table(element, (*path, key))


def _is_table(value: Any) -> bool:
    """Whether it is a table, or a list of tables."""
    return isinstance(value, dict) or (
        isinstance(value, list) and bool(value) and isinstance(value[0], dict)
    )


def _value(key: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if key in PERCENTAGES and isinstance(value, float):
        return _text(f"{100 * value:.10g}%")
    if isinstance(value, int | float):
        return _text(exact_duration(value)) if key in DURATIONS else repr(value)
    if isinstance(value, list):
        return "[" + ", ".join(_value("", item) for item in value) + "]"
    if isinstance(value, dict):
        inner = ", ".join(f"{_text(k)} = {_value('', v)}" for k, v in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    return _text(str(value))


def _text(value: str) -> str:
    """A basic string: JSON's escapes are TOML's, save DEL and bytes that are not UTF-8."""
    return json.dumps(utf8(value), ensure_ascii=False).replace("\x7f", "\\u007f")
