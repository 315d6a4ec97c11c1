"""Finds the line of each key in a TOML file, for error messages.

`tomllib` returns what a file contains, not where. This reads only the keys and skips the values;
it is used on text that `tomllib` has accepted.
"""

from __future__ import annotations

import re
import tomllib

Path = tuple[str | int, ...]

_PART = re.compile(r"\s*(?:\"((?:[^\"\\]|\\.)*)\"|'([^']*)'|([A-Za-z0-9_-]+))\s*")
_VALUE = re.compile(
    r"\"\"\"(?:[^\\]|\\.)*?\"{3,5}|'''.*?'{3,5}|\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|#[^\n]*|[\[\]{}]|\n",
    re.DOTALL,
)


def lines(text: str) -> dict[Path, int]:
    """Map each table and key, as a path such as `("watch", 0, "name")`, to its line from 1 on."""
    line_of: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    at = 0
    while at < len(text):
        end = text.find("\n", at)
        end = len(text) if end < 0 else end
        start, line = text[at:end].lstrip(), text.count("\n", 0, at) + 1
        if not start or start.startswith("#"):
            at = end + 1
            continue
        if start.startswith("["):
            names, _ = _key(start.lstrip("["))
            array = start.startswith("[[")
            table = _resolve(names, counts, array=array)
            line_of.setdefault(table, line)
            at = end + 1
            continue
        names, length = _key(text[at:end])
        for depth in range(1, len(names) + 1):
            line_of.setdefault((*table, *names[:depth]), line)
        at = _after_value(text, at + length)
    return line_of


def line_of(path: Path, known: dict[Path, int]) -> int:
    """The line of a path, else of the closest thing that holds it; 0 if nothing does."""
    for length in range(len(path), 0, -1):
        if path[:length] in known:
            return known[path[:length]]
    return 0


def _key(text: str) -> tuple[tuple[str, ...], int]:
    """Split a dotted key; also how many characters it takes."""
    names: list[str] = []
    at = 0
    while match := _PART.match(text, at):
        basic, literal, bare = match.groups()
        escaped = basic is not None and "\\" in basic
        names.append(_unescaped(basic) if escaped else basic or literal or bare or "")
        at = match.end()
        if text[at : at + 1] != ".":
            break
        at += 1
    return tuple(names), at


def _unescaped(text: str) -> str:
    name = tomllib.loads(f'name = "{text}"')["name"]
    return str(name)


def _resolve(names: tuple[str, ...], counts: dict[Path, int], *, array: bool) -> Path:
    """Put the index of the newest element behind each name of an array of tables."""
    path: Path = ()
    for depth, name in enumerate(names, 1):
        path = (*path, name)
        if array and depth == len(names):
            counts[path] = counts.get(path, 0) + 1
        if path in counts:
            path = (*path, counts[path] - 1)
    return path


def _after_value(text: str, at: int) -> int:
    """Where the next statement begins: behind the newline at which no bracket is open."""
    depth = 0
    for match in _VALUE.finditer(text, at):
        symbol = match[0]
        if symbol in ("[", "{"):
            depth += 1
        elif symbol in ("]", "}"):
            depth -= 1
        elif symbol == "\n" and depth <= 0:
            return match.end()
    return len(text)
