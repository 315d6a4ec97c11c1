"""The label of a series: the path below the root with `{}` in the place of what varies.

Braces that are part of a name are doubled, so that `str.format` gives the name again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Span = tuple[int, int]

_GAP = re.compile(r"\{\}|\{\{|\}\}|[^{}]+|[{}]")


@dataclass(frozen=True)
class ParsedName:
    """What the name of a checkpoint means.

    `series` is the label of its series; `version` is the text in the place of `{}`, empty for a
    series of one.
    """

    series: str
    version: str = ""
    step: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


def label_of(name: str, spans: Iterable[Span]) -> str:
    """Return the label of a name in which these spans vary."""
    label, at = "", 0
    for a, b in spans:
        label += literal(name[at:a]) + "{}"
        at = b
    return label + literal(name[at:])


def literal(text: str) -> str:
    """Return a text as it stands in a label or a template."""
    return text.replace("{", "{{").replace("}", "}}")


def pieces_of(label: str) -> list[str | None]:
    """Return the parts of a label: texts as they are in names, and None for each `{}`."""
    pieces: list[str | None] = [""]
    for token in _GAP.findall(label):
        if token == "{}":  # noqa: S105 - no password
            pieces += [None, ""]
        else:
            pieces[-1] = (pieces[-1] or "") + token.replace("{{", "{").replace("}}", "}")
    return pieces


@lru_cache(maxsize=256)
def pattern_of(label: str) -> re.Pattern[str]:
    """Return the pattern of the names that have a label; its groups are what varies."""
    inner = "".join(
        r"([^/]+?)" if piece is None else re.escape(piece) for piece in pieces_of(label)
    )
    return re.compile(inner + r"\Z", re.DOTALL)


def relative_to_root(path: str, label: str) -> str:
    """Return a checkpoint's path below the root of its watch, of which the label is known."""
    parts = path.rstrip("/").split("/")
    return "/".join(parts[-(label.count("/") + 1) :])
