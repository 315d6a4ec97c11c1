"""What differs in two configurations of Keras, or in two sets of signatures, as short sentences."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from checkpointd.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MAX_VALUES = 200_000
_SHOWN = 60
_WRITERS_OWN = frozenset(
    {"module", "registered_name", "build_config", "shared_object_id", "compile_config"}
)
"""What one version or format writes and another does not."""


def values(root: Any, prefix: str = "") -> dict[str, Any]:
    """List every value of a configuration by its path; a layer is called by its name there."""
    by_path: dict[str, Any] = {}
    waiting = [(prefix, root)]
    while waiting and len(by_path) < _MAX_VALUES:
        path, node = waiting.pop()
        if isinstance(node, dict) and node:
            inner = [(key, value) for key, value in node.items() if key not in _WRITERS_OWN]
            waiting += [(f"{path}/{key}" if path else str(key), value) for key, value in inner]
        elif isinstance(node, list) and node:
            waiting += [(f"{path}/{label}", value) for label, value in _labelled(node)]
        else:
            by_path[path] = node
    return by_path


def _labelled(items: list[Any]) -> Iterator[tuple[str, Any]]:
    names = [_name(item) for item in items]
    unique = len(set(names)) == len(names) and all(names)
    for number, item in enumerate(items):
        yield (names[number] if unique else str(number)), item


def _name(item: Any) -> str:
    config = item.get("config") if isinstance(item, dict) else None
    name = config.get("name") if isinstance(config, dict) else None
    return name if isinstance(name, str) else ""


def differences(first: Any, second: Any, prefix: str, *, same_writer: bool) -> list[str]:
    """Say what differs, value by value.

    Args:
        first: a configuration.
        second: another.
        prefix: what stands before each path.
        same_writer: whether one format and version wrote both, so that a missing value counts.
    """
    ones, others = values(first, prefix), values(second, prefix)
    sentences = []
    for path in dict.fromkeys((*ones, *others)):
        missing = path not in ones or path not in others
        if missing and not same_writer:
            continue
        if ones.get(path, _missing) != others.get(path, _missing):
            sentences.append(
                f"{printable(path, 200)}: {_text(ones, path)} -> {_text(others, path)}"
            )
    return sorted(sentences)


_missing = object()


def _text(values: Mapping[str, Any], path: str) -> str:
    if path not in values:
        return "nothing"
    return printable(json.dumps(values[path], default=str), _SHOWN)


def of_signatures(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Say which signatures are new, gone, or take or give other tensors."""
    sentences = [f"{printable(name)} is gone" for name in first if name not in second]
    sentences += [f"{printable(name)} is new" for name in second if name not in first]
    for name in first:
        for end, word in (("inputs", "takes"), ("outputs", "gives")):
            pair = [_ends(side.get(name, {}), end) for side in (first, second)]
            if name in second and pair[0] != pair[1]:
                sentences.append(f"{printable(name)} {word} {pair[0]} -> {pair[1]}")
    return sentences


def _ends(signature: Mapping[str, Any], end: str) -> str:
    tensors = (
        f"{printable(str(name))} {dtype} {shape}" for name, dtype, shape in signature.get(end, ())
    )
    return ", ".join(sorted(tensors)) or "nothing"
