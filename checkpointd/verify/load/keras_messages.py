"""Shortens errors of Keras and TensorFlow: the cause first, without what is printed around it.

Both put the cause last, after whole configurations, or in the middle, before every argument of a
call. Standard library only, Python 3.9.
"""

from __future__ import annotations

import re

_STYLES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_ENCOUNTERED = "Exception encountered: "
_MADE = re.compile(
    r"deserializing class '(?P<quoted>[^']+)'"
    r"|<class '(?:[\w.<>]*\.)?(?P<shown>\w+)'> could not be deserialized"
)
_NAMED = re.compile(r"'name': '([^']+)'")
_CALLED = re.compile(
    r"Exception encountered when calling (?P<what>[^\n]+?)\.?\n\n(?P<cause>.*)", re.DOTALL
)
_ARGUMENTS = re.compile(r"\n+(?:Call arguments|Arguments) received by .*", re.DOTALL)
_TYPE = re.compile(r"\A(\w+): ")
_CONFIGS = re.compile(r"(?:using )?config=(?=\{)|Full object config: (?=\{)")
_GRAPH = re.compile(r"Graph execution error:.*\nNode: '[^']*'\n", re.DOTALL)
_NODES = re.compile(r"\s*(?:\[\[\{\{.*|\[Op:\w+\].*|\bname: \S*$)", re.DOTALL)
_BYTES = re.compile(r"(?:[A-Za-z0-9+/=]|\\n){80,}")
"""Stored code, or another text of no use to a reader, as an error prints it."""

_MOST = 1 << 20
"""Characters that are searched: Keras repeats a configuration for each object around a cause."""


def cause_first(text: str) -> str:
    """Put the cause of an error first, and leave out configurations, arguments and styles.

    Args:
        text: the name of the exception's type, `: `, and its message.
    """
    text = _STYLES.sub(
        "", text if len(text) <= _MOST else f"{text[: _MOST // 2]}{text[-_MOST // 2 :]}"
    )
    typed = _TYPE.match(text)
    kind, message = (typed.group(), text[typed.end() :]) if typed else ("", text)
    around, found, cause = message.rpartition(_ENCOUNTERED)
    cause, where = _of_call(cause if found else message)
    graph = _GRAPH.search(cause)
    if graph:
        cause = _NODES.sub("", cause[graph.end() :])
    if found and not where:
        where = _of_making(around)
    cause = _BYTES.sub("…", _without_configs(cause)).strip()
    return kind + cause + (f" ({where})" if where else "")


def _of_call(text: str) -> tuple[str, str]:
    """Take an error in a layer's call apart: the innermost cause, and in which layer."""
    where = ""
    while True:
        called = _CALLED.search(text)
        if called is None:
            return text, where
        where = f"when calling {' '.join(called.group('what').split())}"
        text = _ARGUMENTS.sub("", called.group("cause"))


def _of_making(text: str) -> str:
    """Name the object that was being made, from the last one that Keras names before a cause."""
    made = None
    for made in _MADE.finditer(text):  # noqa: B007 - the last one
        pass
    if made is None:
        return ""
    named = _NAMED.search(text, made.end())
    name = f" {named.group(1)!r}" if named else ""
    return (
        f"when making{name} from the configuration of {made.group('quoted') or made.group('shown')}"
    )


def _without_configs(text: str) -> str:
    """Leave out every configuration that is printed as a dict."""
    parts, at = [], 0
    for found in _CONFIGS.finditer(text):
        if found.start() >= at:
            parts.append(text[at : found.start()].rstrip())
            at = _end_of_dict(text, found.end())
    rest = text[at:]
    return "".join(parts) + (rest if not parts else rest.lstrip("."))


def _end_of_dict(text: str, at: int) -> int:
    depth = 0
    for index in range(at, len(text)):
        if text[index] in "{}":
            depth += 1 if text[index] == "{" else -1
            if depth == 0:
                return index + 1
    return len(text)
