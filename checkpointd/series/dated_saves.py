"""Names with a counter and a date behind it, which may be when each was saved, or that of a run.

Pure. Each such name is a series of its own, so that retention never removes one. That is right if
the date tells runs apart; if it is when each was saved, nothing is ever pruned. So it is a note
with the template that settles it, and no hold.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

from checkpointd.series.labels import literal, pieces_of
from checkpointd.series.lone_numbers import DATE
from checkpointd.series.proposals import quoted, template_for
from checkpointd.series.templates import SAVED, by_template, compile_template

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_COUNTER = re.compile(
    r"(?i)(?:\A|[^a-z])(?:(?P<epoch>epoch|ep)|step|iteration|iter|checkpoint|chkpt|ckpt|cp)[-_=.]?\Z"
)
_DATE = re.compile(rf"(?<![0-9.]){DATE}(?![0-9])")

_ONE_GAP = 3
"""A text, the counter, a text."""

_MIN_NAMES = 4
"""Fewer may as well be a few runs."""


def dated_saves(labels: Iterable[str], templates: Sequence[str] = ()) -> list[str]:
    """Return a note for each form of name that differs in a counter and in a date behind it.

    Args:
        labels: of the series that have one checkpoint.
        templates: the watch's `version` templates; what they match needs no note.
    """
    forms: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for label in labels:
        pieces = pieces_of(label)
        if len(pieces) != _ONE_GAP:
            continue
        last = pieces[-1] or ""
        counter, date = _COUNTER.search(pieces[0] or ""), _DATE.search(last)
        if counter is None or date is None:
            continue
        head = label[: len(label) - len(literal(last))] + literal(last[: date.start()])
        form = f"{head}{{}}{literal(last[date.end() :])}"
        name = "".join("1" if piece is None else piece for piece in pieces)
        forms[form, "epoch" if counter["epoch"] else "step"].append(name)
    notes: dict[str, str] = {}
    for (form, field), names in sorted(forms.items()):
        note = _note(form, field, names, templates) if len(names) >= _MIN_NAMES else ""
        if note:
            notes.setdefault(form.rpartition("/")[2], note)
    return list(notes.values())


def _note(form: str, field: str, names: Sequence[str], templates: Sequence[str]) -> str:
    if any(by_template(names[0], compile_template(one)) for one in templates):
        return ""
    saves = template_for(form, [field, SAVED], names)
    runs = template_for(form, [field, "run"], names)
    if not saves or not runs:
        return ""
    verb = "add {} to version" if templates else "set version = {}"
    return (
        f"{len(names)} checkpoints with names such as {form.rpartition('/')[2]!r} differ in "
        f"the date behind their {field}: each is a series of its own, and never removed. If that "
        f"is when each was saved, {verb.format(quoted(saves))} for this watch in config.toml; if "
        f"it tells runs apart, {verb.format(quoted(runs))}, which ends this note."
    )
