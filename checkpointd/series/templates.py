"""File name templates of the config: which of their fields vary within a series.

`{step}`, `{epoch}` and `{batch}` do, and the values of metrics; a template without one of the
three may name what varies `{version}`, `{date}`, `{time}` or `{timestamp}`. `{saved}`, the time of
a save, varies beside them, too. Every other field, such as `{trial}`, tells models apart: it stays
in the label of the series with its value.
"""

from __future__ import annotations

import math
import re
import string
from dataclasses import dataclass
from functools import lru_cache

from checkpointd.series.labels import ParsedName, label_of, literal
from checkpointd.series.numbers import METRIC_WORDS, step_of

_COUNTERS = ("step", "epoch", "batch")
_VERSIONS = ("version", "date", "time", "timestamp")
SAVED = "saved"

_FLOAT = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?nan|[-+]?inf"

_METRIC = re.compile(
    rf"(?i)(?:val_(?!(?:split|size|frac|fraction|ratio)\Z).+|(?:.+_)?(?:{METRIC_WORDS})(?:_.+)?)\Z"
)
_SETTING = re.compile(
    r"(?i)(?:.+_)?(?:lr|learning|rate|dropout|drop|alpha|beta|gamma|delta|lambda|lam|tau|sigma|mu"
    r"|eps|epsilon|temp|temperature|decay|wd|momentum|ratio|frac|fraction|scale|threshold|thresh"
    r"|size|split|noise|width|depth|units|horizon|window|lag|margin|reg|l1|l2|seed|fold|trial|run"
    r"|quantile|percentile)(?:_.+)?\Z"
)
"""What people set: a value of it tells models apart, whatever its format."""


@dataclass(frozen=True)
class Template:
    """A `version` template of the config, compiled to an anchored pattern.

    `varying` are the fields that vary within a series, `metrics` those that are the values of
    metrics where they are numbers; every other field is part of the label.
    """

    pattern: re.Pattern[str]
    fields: tuple[str, ...]
    varying: frozenset[str]
    metrics: frozenset[str]
    whole_path: bool


@lru_cache(maxsize=64)
def compile_template(template: str) -> Template:
    """Compile a file name template of Keras, such as `m_{epoch:02d}-{val_loss:.2f}.h5`.

    It is matched against the name, or against the path below the root if it holds a slash.

    Raises:
        ValueError: the template is not a format string, or it names no field.
    """
    pattern = ""
    fields: list[str] = []
    specs: dict[str, str] = {}
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"version: {template!r} is not a template: {error}") from None
    for text, name, spec, _ in parsed:
        pattern += re.escape(text)
        if name is None:
            continue
        if not name:
            raise ValueError(f"version: {template!r} has a field without a name")
        inner = (
            f"(?P=f{fields.index(name)})" if name in fields else _field_pattern(name, spec or "")
        )
        pattern += f"(?P<f{len(fields)}>{inner})"
        fields.append(name)
        specs.setdefault(name, spec or "")
    if not fields:
        raise ValueError(f"version: {template!r} names no field such as {{epoch}}")
    counters = frozenset(fields).intersection(_COUNTERS)
    return Template(
        re.compile(pattern + r"\Z"),
        tuple(fields),
        (counters or frozenset(fields).intersection(_VERSIONS)) | ({SAVED} & frozenset(fields)),
        frozenset(name for name, spec in specs.items() if _may_be_metric(name, spec)),
        "/" in template,
    )


def by_template(relative: str, template: Template) -> ParsedName | None:
    """Return what the name of a checkpoint means; None if the template does not match it."""
    start = 0 if template.whole_path else relative.rfind("/") + 1
    match = template.pattern.match(relative[start:])
    if match is None:
        return None
    texts = {name: match[f"f{i}"].strip() for i, name in enumerate(template.fields)}
    values = {
        name: value
        for name in template.metrics
        if name not in template.varying and (value := _number(texts[name])) is not None
    }
    varying = [name for name in dict.fromkeys(template.fields) if name in template.varying]
    spans = [
        match.span(f"f{i}")
        for i, name in enumerate(template.fields)
        if name in template.varying or name in values
    ]
    shown = varying or [name for name in dict.fromkeys(template.fields) if name in values]
    step = next((step_of(texts[n]) for n in ("step", "epoch") if n in texts), None)
    return ParsedName(
        literal(relative[:start]) + label_of(match.string, spans),
        "-".join(texts[name] for name in shown),
        step,
        {name: values[name] for name in texts if math.isfinite(values.get(name, math.nan))},
    )


def _field_pattern(name: str, spec: str) -> str:
    """What a field matches: what counts is a number, so that `ckpt-best` is another series."""
    kind = spec[-1:]
    if (name in _VERSIONS or name == SAVED) and not kind:
        return r"[^/]*?[0-9][^/]*?"
    if kind == "d" or name in _COUNTERS:
        return r" *[-+]?[0-9]+"
    if kind and kind in "fFeEgG":
        return f" *(?:{_FLOAT})"
    return r"[^/]+?"


def is_metric(field: str) -> bool:
    """Whether a field is the value of a metric by its name alone."""
    return _METRIC.match(field) is not None


def is_free(field: str) -> bool:
    """Whether a field tells models apart, whatever its format."""
    is_counter = field in _COUNTERS or field in _VERSIONS or field == SAVED
    return field.isidentifier() and not is_counter and not is_metric(field)


def _may_be_metric(name: str, spec: str) -> bool:
    if is_metric(name):
        return True
    kind = spec[-1:]
    return bool(kind) and kind in "fFeEgG" and not _SETTING.match(name)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
