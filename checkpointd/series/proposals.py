"""The `version` template that says what the numbers in the names of a series are."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from checkpointd.series.labels import literal, pieces_of
from checkpointd.series.model_words import is_of_models
from checkpointd.series.templates import by_template, compile_template, is_free, is_metric

if TYPE_CHECKING:
    from collections.abc import Sequence

_NUMBER = re.compile(r"(?<![0-9.])[0-9]+(?:\.[0-9]+)*(?![A-Za-z])")
_WORD = re.compile(r"([A-Za-z]+)[-_.=+ ]*\Z")
_ENDING = re.compile(r"(?:\.weights)?\.[A-Za-z][A-Za-z0-9]*\Z")


def template_for(label: str, fields: Sequence[str], names: Sequence[str]) -> str:
    """Return the template in which the parts of a label that vary have these fields.

    Other numbers become fields of their own where that is possible, so that the template matches
    the names of the series beside this one as well.

    Args:
        label: the series' label.
        fields: the name of the field for each `{}`, `metric` for values.
        names: paths below the root that have the label: the template matches them all.

    Returns:
        The template; empty if there is none.
    """
    if "{}" not in label.rpartition("/")[0]:
        label, names = label.rpartition("/")[2], [name.rpartition("/")[2] for name in names]
    for general in (True, False):
        template = _filled(label, fields, general=general)
        if all(by_template(name, compile_template(template)) for name in names):
            return template
    return ""


def metric_fields(names: Sequence[str]) -> list[str]:
    """Return a field for the value of each metric: its name, or `metric` for what has none."""
    fields: list[str] = []
    for name in names:
        field = name if name.isidentifier() and is_metric(name) else "metric"
        fields.append(_unused(field, fields))
    return fields


def quoted(template: str) -> str:
    """Return a template as it is written in the config."""
    return json.dumps(template, ensure_ascii=False)


def _filled(label: str, fields: Sequence[str], *, general: bool) -> str:
    taken = list(fields)
    left = iter(fields)
    template = ""
    pieces = pieces_of(label)
    for i, piece in enumerate(pieces):
        if piece is None:
            field = next(left)
            template += "{" + field + (":.2f}" if is_metric(field) else "}")
        elif general:
            end = _ENDING.search(piece) if i == len(pieces) - 1 else None
            ending = end[0] if end else ""
            template += _generalised(piece[: len(piece) - len(ending)], taken) + literal(ending)
        else:
            template += literal(piece)
    return template


def _generalised(text: str, taken: list[str]) -> str:
    """Return a text with a field for each number that is a word of its own, or after such a one."""
    made, at = "", 0
    for match in _NUMBER.finditer(text):
        before = text[: match.start()]
        if before[-1:].isalpha() and not is_of_models(before):
            continue
        word = _WORD.search(before)
        name = word[1].lower() if word else ""
        field = _unused(name if name and is_free(name) else "number", taken)
        taken.append(field)
        made += literal(text[at : match.start()]) + "{" + field + "}"
        at = match.end()
    return made + literal(text[at:])


def _unused(field: str, taken: Sequence[str]) -> str:
    found, number = field, 2
    while found in taken:
        found, number = f"{field}_{number}", number + 1
    return found
