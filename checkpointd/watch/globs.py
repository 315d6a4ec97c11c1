"""Which paths below a root are selected: `include` and `exclude` globs of the config.

A pattern is matched against the whole path below the root as `pathlib`'s `full_match` does
(Python 3.13): `*` and `?` stay within a name, `**` as a whole part means any number of
parts. An `exclude` that matches a directory excludes all below it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_RESERVED = ".checkpointd-"
"""Names with this prefix are checkpointd's: the trash."""


def is_reserved(name: str) -> bool:
    """Whether a directory entry is checkpointd's and never watched."""
    return name.startswith(_RESERVED)


def _translate(pattern: str) -> str:
    expression = ""
    parts = pattern.strip("/").split("/")
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "**":
            expression += r".*" if last else r"(?:.+/)?"
            continue
        inner = ""
        for piece in re.split(r"(\*+|\?|\[!?\]?[^\]]*\])", part):
            if piece.startswith("*"):
                inner += r"[^/]*"
            elif piece == "?":
                inner += r"[^/]"
            elif piece.startswith("[") and piece.endswith("]") and len(piece) > 1:
                inner += rf"(?!/)[{_members(piece[1:-1])}]"
            else:
                inner += re.escape(piece)
        expression += inner if last else inner + "/"
    return expression


def _members(inside: str) -> str:
    negated = inside.startswith("!")
    text = inside[negated:].replace("\\", r"\\").replace("[", r"\[").replace("]", r"\]")
    if text.startswith("^"):
        text = "\\" + text
    return "^" + text if negated else text


@dataclass(frozen=True)
class Selection:
    """The compiled `include` and `exclude` of one watch."""

    included: re.Pattern[str]
    excluded: re.Pattern[str] | None
    takes_all: bool

    def takes(self, relative: str) -> bool:
        """Whether a checkpoint at this path below the root is selected."""
        if self.takes_all:
            return True
        if self.included.fullmatch(relative) is None:
            return False
        return not self._is_excluded(relative)

    def enters(self, relative: str) -> bool:
        """Whether a directory is to be walked."""
        return self.excluded is None or not self._is_excluded(relative)

    def _is_excluded(self, relative: str) -> bool:
        if self.excluded is None:
            return False
        at = len(relative)
        while at > 0:
            if self.excluded.fullmatch(relative[:at]) is not None:
                return True
            at = relative.rfind("/", 0, at)
        return False


def select(include: tuple[str, ...] = ("**",), exclude: tuple[str, ...] = ()) -> Selection:
    """Compile the globs of a watch."""
    flags = re.DOTALL
    included = re.compile("|".join(f"(?:{_translate(p)})" for p in include), flags)
    excluded = re.compile("|".join(f"(?:{_translate(p)})" for p in exclude), flags)
    return Selection(
        included, excluded if exclude else None, not exclude and tuple(include) == ("**",)
    )
