"""Names with several numbers of which no word says that one counts saves.

Pure. Each such name is a series of its own, so that retention never removes one; this finds them,
and the `version` templates between which to choose.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.series.doubts import Doubt
from checkpointd.series.labels import literal, pieces_of
from checkpointd.series.model_words import is_of_models
from checkpointd.series.numbers import CERTAIN_WORDS, LIKELY_WORDS
from checkpointd.series.proposals import quoted, template_for
from checkpointd.series.templates import by_template, compile_template, is_free

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_NUMBER = re.compile(r"(?<![0-9.])[0-9]+(?:\.[0-9]+)*")
_WORD = re.compile(r"([A-Za-z]+)[-_.=+ ]*\Z")
_DATE = re.compile(r"(?<![0-9])(?:19|20)[0-9]{2}([-_.]?)[01][0-9]\1[0-3][0-9](?![0-9])")
_MAY_COUNT = CERTAIN_WORDS | LIKELY_WORDS | {"ep", "iter", "iteration", "it", "net", "save", "at"}
"""Words before a last number that may count saves; after `units` and others it is a setting."""

_MIN_NAMES = 4
"""Fewer may as well be a few models."""

_MIN_VALUES = 2
_TEN = 10
"""After `model` and its kind, numbers below this may be the members of an ensemble."""

_EXAMPLES = 2


@dataclass(frozen=True)
class Unread:
    """Names that differ in several numbers: with `{}` in the place of each, and the doubt."""

    label: str
    doubt: Doubt


def unread_numbers(labels: Iterable[str], templates: Sequence[str] = ()) -> list[Unread]:
    """Return what is in doubt about the series of one checkpoint each of a watch.

    Directories with names of the same form make one doubt.

    Args:
        labels: of the series that have one checkpoint.
        templates: the watch's `version` templates; what they match is never in doubt.
    """
    groups: defaultdict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for label in labels:
        first, *gaps = pieces_of(label)
        if gaps or not first:
            continue  # a number of it counts
        directory, slash, name = first.rpartition("/")
        texts = tuple(_NUMBER.split(name))
        if len(texts) > _MIN_VALUES:
            groups[directory + slash, texts].append(name)
    by_label: dict[str, Unread] = {}
    for (directory, _), names in sorted(groups.items()):
        one = _unread(directory, names, templates) if len(names) >= _MIN_NAMES else None
        if one is not None:
            by_label.setdefault(one.label.rpartition("/")[2], one)
    return list(by_label.values())


def _unread(directory: str, names: Sequence[str], templates: Sequence[str]) -> Unread | None:
    names = sorted(names, key=lambda name: (len(name), name))
    matches = [list(_NUMBER.finditer(name)) for name in names]
    values = [{match[0] for match in column} for column in zip(*matches, strict=True)]
    varying = [at for at, found in enumerate(values) if len(found) >= _MIN_VALUES]
    if len(varying) < _MIN_VALUES or any("." in text for at in varying for text in values[at]):
        return None
    first = names[0]
    if not _may_count(first, matches[0][varying[-1]], values[varying[-1]]):
        return None
    if any(by_template(directory + first, compile_template(one)) for one in templates):
        return None
    label, end = "", 0
    for at in varying:
        label += literal(first[end : matches[0][at].start()]) + "{}"
        end = matches[0][at].end()
    label += literal(first[end:])
    models = _models(first, [matches[0][at] for at in varying[:-1]])
    cure = _cure(label, models, names, added=bool(templates))
    if not cure:
        return None
    shown = ", ".join(map(repr, names[:_EXAMPLES]))
    return Unread(
        literal(directory) + label,
        Doubt(
            f"The {len(names)} checkpoints {shown}, … differ in {len(varying)} numbers, and no "
            "word says which of them counts the saves: each is a series of its own, and no rule "
            "removes the only one of a series.",
            cure,
        ),
    )


def _may_count(name: str, match: re.Match[str], values: Iterable[str]) -> bool:
    """Whether a number may count saves, as far as the word before and after it says."""
    before = name[: match.start()]
    if is_of_models(before) or name[match.end() : match.end() + 1].isalpha():
        return False
    if any(date.start() <= match.start() < date.end() for date in _DATE.finditer(name)):
        return False
    word = _WORD.search(before)
    return word is None or (word[1].lower() in _MAY_COUNT and any(int(v) >= _TEN for v in values))


def _models(name: str, matches: Sequence[re.Match[str]]) -> list[str]:
    """A field for each number that may distinguish models."""
    fields: list[str] = []
    for match in matches:
        before = name[: match.start()]
        word = _WORD.search(before)
        field = word[1].lower() if word and is_of_models(before) else "model"
        field = field if is_free(field) else "model"
        fields.append(field if field not in fields else f"{field}_{len(fields) + 1}")
    return fields


def _cure(label: str, models: list[str], names: Sequence[str], *, added: bool) -> str:
    """Which template to write: for saves of several jobs, of one job, and for models."""
    verb = "add {} to version" if added else "set version = {}"
    choices = [("if the last number counts the saves of a job", [*models, "step"])]
    if models == ["model"]:
        choices.append(("if both count within one job", ["epoch", "batch"]))
    choices.append(("if each is a model of its own", [*models, "number"]))
    parts: list[str] = []
    for condition, fields in choices:
        template = template_for(label, fields, names)
        if not template:
            return ""
        where = "" if parts else " for this watch in config.toml"
        parts.append(f"{condition}, {verb.format(quoted(template))}{where}")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."
