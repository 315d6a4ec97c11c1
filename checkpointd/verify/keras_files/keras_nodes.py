"""The objects that a Keras configuration names, at any depth, each with its path in the model.

Layers within layers (TimeDistributed, Bidirectional, nested models), compile configurations, and
strings that hold JSON themselves. No recursion: a hostile configuration may be nested very deep.
Standard library only, Python 3.9: both stages read configurations.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkpointd.formats import FormatError, bounded_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MAX_PATH = 240
_MAX_TEXTS = 4
_JSON = re.compile(r"\s*(?:\{\s*\"|\[\s*[\[{])")
"""How a string begins that may hold objects: `{"` or `[{`, and not `[UNK]`."""

_WORD_LAYERS = frozenset({"IndexLookup", "IntegerLookup", "StringLookup", "TextVectorization"})
_WORDS = ("vocabulary", "initial_vocabulary")
"""The settings in which Keras's layers keep lists of words, which are never parsed as JSON."""


@dataclass(frozen=True)
class Node:
    """One object of a configuration: a dict with a `class_name`, and its path in the model.

    `path` is a path of layer names such as `model/td/lambda_1`; `content` the dict itself.
    """

    path: str
    content: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The name of its class; empty if that is not a string."""
        return _text(self.content.get("class_name"))

    @property
    def module(self) -> str:
        """Where the class or function is defined; empty in what Keras 1 and 2 wrote."""
        return _text(self.content.get("module"))

    @property
    def is_function(self) -> bool:
        """Whether it names a function rather than the class of an object."""
        return self.kind == "function"

    @property
    def name(self) -> str:
        """The name that is looked up: of the function, or of the class."""
        inner = self.content.get("config")
        return _text(inner) if self.is_function else self.kind

    @property
    def lookups(self) -> frozenset[str]:
        """Every name that Keras may look up for it in `module`.

        tf-keras takes `registered_name` where the first is not there, and a type by `spec_name`.
        A name such as `Custom>Mine` is only ever found among the registered ones.
        """
        also = (self.content.get("registered_name"), self.content.get("spec_name"))
        names = {self.name, *(n for n in also if isinstance(n, str) and ">" not in n)}
        return frozenset(names - {"", "function", "__typespec__"})

    @property
    def key(self) -> str:
        """The name by which Keras looks for it among the custom objects."""
        if self.is_function:
            return self.name
        return _text(self.content.get("registered_name", self.kind))

    @property
    def config(self) -> Mapping[str, Any]:
        """The settings of the object; empty if they are not a dict."""
        inner = self.content.get("config")
        return inner if isinstance(inner, dict) else {}


def nodes(config: Any) -> Iterator[Node]:
    """Yield every object in a configuration, in the order in which they are written.

    Args:
        config: what JSON gave.
    """
    waiting: list[tuple[Any, str, int]] = [(config, "", 0)]
    words: dict[int, Any] = {}  # by identity; a reference is kept, so that no id is reused
    while waiting:
        value, path, texts = waiting.pop()
        if isinstance(value, dict):
            if "class_name" in value:
                path = _below(path, value)
                yield Node(path or _text(value["class_name"])[:_MAX_PATH] or "an object", value)
                words.update((id(one), one) for one in _words(value))
            inside = [
                (v, _part(path, key), texts)
                for key, v in value.items()
                if _holds(v) and id(v) not in words
            ]
            waiting.extend(reversed(inside))
        elif isinstance(value, (list, tuple)):
            waiting.extend((v, path, texts) for v in reversed(value) if _holds(v))
        elif isinstance(value, str) and texts < _MAX_TEXTS:
            try:
                waiting.append((bounded_json.parse(value, path), path, texts + 1))
            except FormatError:
                continue  # a string that is not JSON names no object


def _words(value: Mapping[str, Any]) -> list[Any]:
    """Return the lists of words that one of Keras's layers holds: data, not configuration."""
    if _text(value["class_name"]).rpartition(">")[2] not in _WORD_LAYERS:
        return []
    inner = value.get("config")
    found = [inner.get(key) for key in _WORDS] if isinstance(inner, dict) else []
    return [one for one in found if isinstance(one, list) and all(isinstance(w, str) for w in one)]


def _holds(value: Any) -> bool:
    if isinstance(value, str):
        return _JSON.match(value) is not None
    return isinstance(value, (dict, list, tuple))


def _part(path: str, key: str) -> str:
    return f"{path}/compile" if key in ("compile_config", "training_config") else path


def _below(path: str, value: Mapping[str, Any]) -> str:
    inner = value.get("config")
    name = inner.get("name") if isinstance(inner, dict) else None
    if not isinstance(name, str) or not name:
        return path
    whole = f"{path}/{name}" if path else name
    return whole if len(whole) <= _MAX_PATH else f"{whole[: _MAX_PATH // 2]}…{name[-80:]}"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
