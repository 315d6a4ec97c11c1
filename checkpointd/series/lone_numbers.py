"""Names with one number, or a date, of which no word says that it counts saves.

Pure. Each such name is a series of its own, so that retention never removes one. That may be meant:
`net-7.h5` may be a model of its own as well as a save. So it is a note with the template that
settles it, and no hold.
"""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from typing import TYPE_CHECKING

from checkpointd.series.labels import literal, pieces_of
from checkpointd.series.model_words import is_of_models
from checkpointd.series.proposals import quoted, template_for
from checkpointd.series.templates import by_template, compile_template

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

DATE = (
    r"(?:19|20)[0-9]{2}(?P<between>[-_.]?)[01][0-9](?P=between)[0-3][0-9]"
    r"(?:[-_T. ]?[0-2][0-9][-_:.h]?[0-5][0-9](?:[-_:.m]?[0-5][0-9])?(?![0-9]))?"
)
_VARIES = re.compile(rf"(?<![0-9.])(?:(?P<date>{DATE})|[0-9]+)(?![0-9])")
_THOUSANDS = re.compile(r"[kKM](?![A-Za-z0-9])")

_MIN_NAMES = 4
"""Fewer may as well be a few models."""

_EXAMPLES = 2


def lone_numbers(labels: Iterable[str], templates: Sequence[str] = ()) -> list[str]:
    """Return a note for each form of name that differs in one number or date alone.

    Numbers with steps that differ, such as those of `resnet18.h5` and `resnet50.h5`, and those
    after `fold` and other words for models are no reason for a note. The same names in several
    directories are one.

    Args:
        labels: of the series that have one checkpoint.
        templates: the watch's `version` templates; what they match needs no note.
    """
    groups: defaultdict[tuple[str, str, str], dict[str, re.Match[str]]] = defaultdict(dict)
    for label in labels:
        path, *gaps = pieces_of(label)
        if gaps or not path:
            continue  # a number of it counts
        directory, slash, name = path.rpartition("/")
        for match in _VARIES.finditer(name):
            form = (directory + slash, name[: match.start()], name[match.end() :])
            groups[form][name] = match
    notes: dict[str, str] = {}
    for (directory, before, after), found in sorted(groups.items()):
        if len(found) < _MIN_NAMES or is_of_models(before) or _is_word(after):
            continue
        matches = sorted(found.values(), key=lambda match: (len(match[0]), match[0]))
        field = _field_of(matches)
        note = _note(directory, before, after, field, matches, templates) if field else ""
        if note:
            notes.setdefault(f"{before}\0{after}", note)
    return list(notes.values())


def _is_word(after: str) -> bool:
    """Whether a word goes on behind the number, other than a `k` or `M` of thousands of steps."""
    return after[:1].isalpha() and _THOUSANDS.match(after) is None


def _field_of(matches: Sequence[re.Match[str]]) -> str:
    """What may vary: `date`, or `step` where the steps are even; empty if neither."""
    if all(match["date"] for match in matches):
        return "date"
    numbers = sorted(int(match[0]) for match in matches)
    steps = {b - a for a, b in itertools.pairwise(numbers)}
    return "step" if len(steps) == 1 and 0 not in steps else ""


def _note(
    directory: str,
    before: str,
    after: str,
    field: str,
    matches: Sequence[re.Match[str]],
    templates: Sequence[str],
) -> str:
    names = [match.string for match in matches]
    if any(by_template(directory + names[0], compile_template(one)) for one in templates):
        return ""
    label = f"{literal(directory + before)}{{}}{literal(after)}"
    counts = template_for(label, [field], [directory + name for name in names])
    apart = template_for(label, ["model"], [directory + name for name in names])
    if not counts or not apart:
        return ""
    shown = ", ".join(map(repr, names[:_EXAMPLES]))
    verb = "add {} to version" if templates else "set version = {}"
    what = "date" if field == "date" else "number"
    return (
        f"The {len(names)} checkpoints {shown}, … differ in a {what} alone, and their names do not "
        "show whether they are saves of one model: each is a series of its own, and never "
        f"removed. If they are saves of one model, {verb.format(quoted(counts))} for this watch "
        f"in config.toml; if each is a model of its own, {verb.format(quoted(apart))}, which "
        "ends this note."
    )
