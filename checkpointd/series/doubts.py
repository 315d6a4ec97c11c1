"""What the names of a series leave open: which of their numbers count, and which tell models apart.

Pure. A name alone is parsed by `names`; here the names of a series are compared. What a template
of the config matches is never in doubt.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from checkpointd.series.labels import label_of, pattern_of, relative_to_root
from checkpointd.series.names import numbers_of
from checkpointd.series.numbers import CERTAIN_WORDS, LIKELY_WORDS
from checkpointd.series.proposals import metric_fields, quoted, template_for
from checkpointd.series.templates import by_template, compile_template

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from checkpointd.core.format_specs import Format
    from checkpointd.series.numbers import Numbers

_FIELDS = {
    **dict.fromkeys(("epoch", "ep"), "epoch"),
    **dict.fromkeys(("step", "iteration", "iter"), "step"),
    **dict.fromkeys(("checkpoint", "chkpt", "ckpt", "cp", "weights"), "step"),
    "batch": "batch",
}
"""The field of a template for the number after a word."""

_FEW_STEPS = 100
"""Below this, all steps of a series may be the numbers of models: of horizons, of a pipeline."""

_EXAMPLES = 3
_MANY = 200


@dataclass(frozen=True)
class Doubt:
    """What is not certain about a series, and what to write into the config about it."""

    message: str
    cure: str


@dataclass(frozen=True)
class SeriesNames:
    """The names of one series whose numbers were read without a template.

    `paths` are those of its checkpoints, `numbers` what the numbers of the first name mean.
    """

    label: str
    paths: Sequence[str]
    numbers: Numbers
    templates: Sequence[str] = ()

    @property
    def examples(self) -> list[str]:
        """Some names: in what a template makes of them, all of a series are alike."""
        return [relative_to_root(path, self.label) for path in self.paths[:_MANY]]

    @cached_property
    def texts(self) -> list[tuple[str, ...]]:
        """What stands in each `{}` of the label, for each name."""
        pattern = pattern_of(self.label)
        names = (relative_to_root(path, self.label) for path in self.paths)
        return [match.groups() for name in names if (match := pattern.match(name))]

    @cached_property
    def columns(self) -> list[tuple[str, bool]]:
        """For each `{}` the field of a template, and whether it counts."""
        numbers = self.numbers
        counters = [_FIELDS.get(word, "epoch") for word in numbers.words]
        counters += ["version"] * (len(numbers.spans) - len(counters))
        metrics = metric_fields(numbers.metric_names)
        both = [
            *zip(numbers.spans, counters, (True,) * len(counters), strict=True),
            *zip(numbers.metric_spans, metrics, (False,) * len(metrics), strict=True),
        ]
        return [(field, counts) for _, field, counts in sorted(both)]

    @property
    def counters(self) -> list[int]:
        """Which `{}` of the label count."""
        return [i for i, (_, counts) in enumerate(self.columns) if counts]

    def cure(self, apart: int, field: str) -> str:
        """What to write: one template for versions of one model, one for models of their own.

        Args:
            apart: the `{}` of the label that may tell models apart.
            field: its field if it does.
        """
        together = [name for name, _ in self.columns]
        separate = [field if i == apart else name for i, name in enumerate(together)]
        one, many = (
            template_for(self.label, fields, self.examples) for fields in (together, separate)
        )
        if not one or not many:
            return (
                "Say what varies with a `version` template, or give each model its own directory."
            )
        verb = "add {} to version" if self.templates else "set version = {}"
        return (
            f"If they are versions of one model, {verb.format(quoted(one))} for this watch in "
            f"config.toml; if each is a model of its own, {verb.format(quoted(many))}."
        )


def names_of(
    label: str,
    paths: Sequence[str],
    format: Format,
    templates: Sequence[str] = (),
) -> SeriesNames | None:
    """Return the names of a series for comparison; None if there is nothing to be in doubt about.

    Args:
        label: the series' label.
        paths: of its checkpoints.
        format: the format of the first.
        templates: the watch's `version` templates.
    """
    if "{}" not in label or len(paths) < 2:  # noqa: PLR2004 - one has nothing to differ from
        return None
    first = relative_to_root(paths[0], label)
    if any(by_template(first, compile_template(template)) for template in templates):
        return None
    numbers = numbers_of(first, format)
    if label_of(first, sorted((*numbers.spans, *numbers.metric_spans))) != label:
        return None  # a `checkpoint` state file lists them
    return SeriesNames(label, paths, numbers, templates)


def number_unclear(series: SeriesNames) -> Doubt | None:
    """A number that seems to count epochs only because a value follows it, or is padded."""
    if not series.numbers.guessed or _is_certain(series):
        return None
    at = series.counters[0]
    numbers = _distinct(series, at)
    if len(numbers) < 2:  # noqa: PLR2004 - one number has nothing to differ from
        return None
    return Doubt(
        f"The numbers {_listed(numbers)} in {series.label!r} may count the epochs of one model, or "
        "each may be another model.",
        series.cure(at, "model"),
    )


def steps_unclear(series: SeriesNames) -> Doubt | None:
    """Steps so few that they may number the models of a pipeline or of a forecast."""
    if len(series.numbers.words) != 1 or _FIELDS.get(series.numbers.words[0]) != "step":
        return None
    if series.numbers.words[0] in CERTAIN_WORDS:
        return None
    at = series.counters[0]
    steps = _distinct(series, at)
    if len(steps) < 2 or any(not t.isdigit() or int(t) >= _FEW_STEPS for t in steps):  # noqa: PLR2004
        return None
    return Doubt(
        f"The steps {_listed(steps)} in {series.label!r} are so few that each may be another "
        "model: of a forecast's step or of a stage, not the same model after more training.",
        series.cure(at, "model"),
    )


def numbers_independent(series: SeriesNames) -> Doubt | None:
    """Numbers of which none follows from another: a grid of settings, or of models and epochs."""
    if len(series.columns) < 2:  # noqa: PLR2004 - it takes two
        return None
    counters = series.counters
    if len(counters) > 1 and series.columns[counters[-1]][0] != "batch":
        outer, inner = counters[-2], counters[-1]
        several = _with_several(series, (inner,), outer)
        if len(several) > 1:
            (example,), values = next(iter(several.items()))
            return Doubt(
                f"Two numbers vary independently in {series.label!r}: the second is {example} "
                f"where the first is {_listed(values)}. It may count within each epoch, or tell "
                "models apart.",
                series.cure(inner, "model"),
            )
    for at, (_, counts) in enumerate(series.columns):
        if not counts and (several := _with_several(series, counters, at)):
            doubt = _setting_unclear(series, at, several)
            if doubt is not None:
                return doubt
    return None


def _setting_unclear(
    series: SeriesNames, at: int, several: Mapping[tuple[str, ...], Sequence[str]]
) -> Doubt | None:
    """Whether a value that is taken for a metric's may be a setting that tells models apart."""
    field = series.columns[at][0]
    if field.startswith("val_") or not series.counters:
        return None
    values = {texts[at] for texts in series.texts}
    is_grid = len(several) > 1 and 2 * len(values) <= len(series.texts)
    is_keras = series.numbers.guessed and _is_certain(series)
    is_unnamed = field.startswith("metric") and not is_keras
    if not is_grid and not is_unnamed:
        return None
    key, found = next(iter(several.items()))
    return Doubt(
        f"Two numbers vary independently in {series.label!r}: with {'-'.join(key)} there are "
        f"{_listed(found)}. They may be the values of a metric in several runs, or a setting that "
        "tells models apart.",
        series.cure(at, "setting"),
    )


def _with_several(
    series: SeriesNames, by: Sequence[int], at: int
) -> dict[tuple[str, ...], list[str]]:
    """The values of some numbers with which another one has several values."""
    if len({tuple(texts[i] for i in by) for texts in series.texts}) == len(series.texts):
        return {}
    found: defaultdict[tuple[str, ...], dict[str, None]] = defaultdict(dict)
    for texts in series.texts:
        found[tuple(texts[i] for i in by)][texts[at]] = None
    return {key: list(values) for key, values in found.items() if len(values) > 1}


def _is_certain(series: SeriesNames) -> bool:
    """Whether the word before a number says that it counts, or that and how it is written."""
    numbers = series.numbers
    if not numbers.guessed:
        return True
    word = numbers.words[0]
    if word in CERTAIN_WORDS:
        return bool(numbers.metric_spans)
    at = numbers.spans[0][0]
    is_first = at == series.examples[0].rfind("/") + 1
    if word not in LIKELY_WORDS and not (is_first and not word):
        return False
    return any(text.startswith("0") and len(text) > 1 for text in _distinct(series, 0))


def _distinct(series: SeriesNames, at: int) -> list[str]:
    return list(dict.fromkeys(texts[at] for texts in series.texts))


def _listed(values: Sequence[str]) -> str:
    ordered = sorted(values, key=lambda text: (len(text), text))
    shown = ordered[:_EXAMPLES]
    if len(ordered) > len(shown):
        return ", ".join(shown) + ", …"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
