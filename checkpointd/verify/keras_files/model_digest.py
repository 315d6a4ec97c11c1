"""A digest of what a Keras model is built of, the same however and wherever it was trained.

Names of layers, what they are trained with, and what is learned from data do not count: layers,
their settings and how they are connected do. Read without Keras.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkpointd.verify.keras_files.keras_names import is_keras_module

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_IGNORED = frozenset(
    {
        *("name", "module", "registered_name", "shared_object_id", "keras_version", "backend"),
        *("trainable", "seed", "dtype", "build_config", "compile_config"),
        *("mean", "variance", "input_mean", "input_variance", "bin_boundaries"),
        *("vocabulary", "input_vocabulary", "idf_weights"),
    }
)
_INITIALIZER = "_initializer"


@dataclass(frozen=True)
class _Layer:
    """The place of a layer among all."""

    place: int


def digest_of_model(model: Mapping[str, Any]) -> str:
    """Return a digest of a model's configuration; empty if there is none.

    Args:
        model: the configuration, as Keras stores it.
    """
    if not model:
        return ""
    digest = hashlib.sha256()
    for token in _tokens(model, _layer_names(model)):
        digest.update(token.encode("utf-8", "surrogatepass") + b"\n")
    return digest.hexdigest()


def _layer_names(model: Mapping[str, Any]) -> dict[str, int]:
    """The names of layers, each with its place: two models may differ in them by chance."""
    places: dict[str, int] = {}
    waiting: list[Any] = [model]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            config = node.get("config")
            for holder in (node, config if isinstance(config, dict) else {}):
                name = holder.get("name")
                if "class_name" in node and isinstance(name, str):
                    places.setdefault(name, len(places))
            waiting.extend(
                node[key] for key in sorted(node, reverse=True) if _counts(key, node[key])
            )
        elif isinstance(node, list):
            waiting.extend(reversed(node))
    return places


def _tokens(model: Mapping[str, Any], layers: Mapping[str, int]) -> Iterator[str]:
    """What counts of a configuration, in order; without recursion, for it may be hostile.

    A list refers to a layer by its name, as in `["dense_1", 0, 0]`: its place stands for it.
    """
    waiting: list[Any] = [model]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            counted = {key: value for key, value in node.items() if _counts(key, value)}
            if _is_users(node):
                counted.pop("config", None)
            yield "{" + ",".join(sorted(counted)) + "}"
            waiting.extend(counted[key] for key in sorted(counted, reverse=True))
        elif isinstance(node, list):
            yield f"[{len(node)}]"
            waiting.extend(
                _Layer(layers[item]) if isinstance(item, str) and item in layers else item
                for item in reversed(node)
            )
        else:
            yield repr(node)


def _counts(key: str, value: object) -> bool:
    """Whether an item counts: a later Keras writes more of those that are not set."""
    is_set = value not in (None, False, "", [], {})
    return is_set and key not in _IGNORED and not key.endswith(_INITIALIZER)


def _is_users(node: Mapping[str, Any]) -> bool:
    """Whether it is an object of a user's class, whose settings may mean anything."""
    module, registered = node.get("module"), node.get("registered_name")
    if "class_name" not in node:
        return False
    if isinstance(registered, str) and ">" in registered:
        return True
    return isinstance(module, str) and not is_keras_module(module)
