"""Which names are versions of one model: the series, version, step and metrics that a name gives.

Pure, and by one name alone: no other file changes what a name means. Only names that say so make a
series (see `numbers`); every other name is a series of its own, because a wrong guess here would
let retention remove one model for being an older version of another.
"""

from __future__ import annotations

import math
import re
import string
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format, spec_of
from checkpointd.watch.numbers import Numbers, of_directory, of_name, step_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

_DEEPEST = 4
"""Directories above a model that may be its checkpoint's, as `checkpoint_000010/policy/model`."""

_SUFFIX = re.compile(r"(\.weights)?\.(keras|h5|hd5|hdf5|hdf|json)\Z|\.ckpt\Z", re.IGNORECASE)
_NOT_AFTER = r"(?<![0-9A-Za-z])"
_NOT_BEFORE = r"(?![0-9A-Za-z]|\.[0-9])"

_DIGITS = re.compile(r"[0-9]+\Z")
_BARE_VERSION = re.compile(r"[vV](?P<number>[0-9]+)\Z")
_STAMP = re.compile(
    rf"{_NOT_AFTER}(?P<year>[0-9]{{4}})(?P<dash>-?)(?P<month>[0-9]{{2}})(?P=dash)(?P<day>[0-9]{{2}})"
    r"[-_T](?P<hour>[0-9]{2})[-:._]?(?P<minute>[0-9]{2})(?:[-:._]?(?P<second>[0-9]{2}))?"
    rf"(?:\.[0-9]+)?(?:Z|[+-][0-9]{{2}}:?[0-9]{{2}})?(?![0-9A-Za-z])"
)
_UNIX = re.compile(rf"{_NOT_AFTER}[12][0-9]{{9}}{_NOT_BEFORE}")

_FLOAT = r"[-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[-+]?nan|[-+]?inf"
_COUNTERS = ("step", "batch", "epoch")


@dataclass(frozen=True)
class Place:
    """Where a checkpoint stands among others.

    `series` is the path below the root with `{}` for the version (braces that are part of a name
    are doubled); `version` is the text that stands there, empty for a series of its own.
    """

    series: str
    version: str = ""
    step: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Template:
    """A `version` template of the config, turned into an anchored pattern."""

    pattern: re.Pattern[str]
    fields: tuple[str, ...]
    whole_path: bool


@lru_cache(maxsize=64)
def compile_template(template: str) -> Template:
    """Read a file name template in Keras's own syntax, such as `m_{epoch:02d}-{val_loss:.2f}.h5`.

    It is matched against the name, or against the path below the root if it holds a slash.

    Raises:
        ValueError: the template is no format string, or it names no field.
    """
    pattern = ""
    fields: list[str] = []
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"version: {template!r} is no template: {error}") from None
    for literal, name, spec, _ in parsed:
        pattern += re.escape(literal)
        if name is None:
            continue
        if not name:
            raise ValueError(f"version: {template!r} has a field without a name")
        inner = f"(?P=f{fields.index(name)})" if name in fields else _field_pattern(spec or "")
        pattern += f"(?P<f{len(fields)}>{inner})"
        fields.append(name)
    if not fields:
        raise ValueError(f"version: {template!r} names no field such as {{epoch}}")
    return Template(re.compile(pattern + r"\Z"), tuple(fields), "/" in template)


def _field_pattern(spec: str) -> str:
    kind = spec[-1:]
    if kind == "d":
        return r" *[-+]?[0-9]+"
    if kind and kind in "fFeEgG":
        return f" *(?:{_FLOAT})"
    return r"[^/]+?"


def place(
    relative: str,
    format: Format,  # noqa: A002 - the field's own name
    template: str | None = None,
    stems: Collection[str] = (),
) -> Place:
    """Place a checkpoint by its name.

    Args:
        relative: its path below the root of the watch, a prefix without `.index`.
        format: how it lies on disk; only a directory's name may be nothing but a number.
        template: the watch's `version` template, in Keras's own syntax.
        stems: what the names of a TensorFlow checkpoint's versions begin with, up to the number,
            as the `checkpoint` state file beside it says (`checkpointd.formats.state_file.stems`).

    Raises:
        ValueError: the template is none.
    """
    if template is not None:
        placed = _by_template(relative, compile_template(template))
        if placed is not None:
            return placed
    start = relative.rfind("/") + 1
    name = relative[start:]
    spec = spec_of(format)
    promised = bool(spec and relative.lower().endswith(spec.endings or ("/",)))
    is_directory = bool(spec and spec.directory_test) and not promised
    stem = next((s for s in stems if _is_listed(name, s)), None)
    if stem is not None and format is Format.TF_CHECKPOINT:
        step = step_of(name[len(stem) :])
        return _placed(relative, Numbers(((start + len(stem), len(relative)),), step))
    return _placed(relative, _of_path(relative, start, is_directory=is_directory))


def _of_path(relative: str, start: int, *, is_directory: bool) -> Numbers:
    """The numbers of a path: those of its name, else of the directory that is a checkpoint's."""
    name = relative[start:]
    mine = _of_last(name if is_directory else _SUFFIX.sub("", name), is_directory=is_directory)
    mine = _moved(mine, start)
    if mine.spans:
        return mine
    end = start - 1
    for _ in range(_DEEPEST):
        if end <= 0:
            break
        begin = relative.rfind("/", 0, end) + 1
        above = _moved(of_directory(relative[begin:end]), begin)
        if above.spans:
            return replace(
                mine,
                spans=above.spans,
                step=above.step,
                metric_spans=(*above.metric_spans, *mine.metric_spans),
                metrics={**above.metrics, **mine.metrics},
            )
        end = begin - 1
    return mine


def _moved(numbers: Numbers, by: int) -> Numbers:
    return replace(
        numbers,
        spans=tuple((a + by, b + by) for a, b in numbers.spans),
        metric_spans=tuple((a + by, b + by) for a, b in numbers.metric_spans),
    )


def _placed(relative: str, numbers: Numbers) -> Place:
    """The place of a path; what is only told apart by the value of a metric has that as version."""
    version = "-".join(relative[a:b] for a, b in numbers.spans or numbers.metric_spans)
    label = _fill(relative, sorted((*numbers.spans, *numbers.metric_spans)))
    return Place(label, version, numbers.step, numbers.metrics)


def _is_listed(name: str, stem: str) -> bool:
    return name.startswith(stem) and _DIGITS.match(name, len(stem)) is not None


def _of_last(stem: str, *, is_directory: bool) -> Numbers:
    """The numbers of a checkpoint's own name: what counts its saves, else when it was saved."""
    found = of_name(stem)
    if found.spans:
        return found
    times = (match for match in _STAMP.finditer(stem) if _is_a_time(match))
    if is_directory and _DIGITS.match(stem):
        span = (0, len(stem))
    elif match := next(times, None):
        span = match.span()
    elif match := _BARE_VERSION.match(stem):
        span = match.span("number")
    elif match := _UNIX.search(stem):
        span = match.span()
    else:
        return found
    return replace(found, spans=(span,))


def runs(steps: Iterable[int | None]) -> tuple[int, ...]:
    """Number the run of each checkpoint of a series, given their steps in the order of saving.

    A run ends where the step falls: a job was started again in the same directory. A checkpoint
    without a step belongs to the run before it.
    """
    numbers: list[int] = []
    run, last = 0, None
    for step in steps:
        if step is not None:
            if last is not None and step < last:
                run += 1
            last = step
        numbers.append(run)
    return tuple(numbers)


def _by_template(relative: str, template: Template) -> Place | None:
    start = 0 if template.whole_path else relative.rfind("/") + 1
    match = template.pattern.match(relative[start:])
    if match is None:
        return None
    texts = {name: match[f"f{i}"].strip() for i, name in enumerate(template.fields)}
    values = {
        n: v for n, t in texts.items() if n not in _COUNTERS and (v := _number(t)) is not None
    }
    metrics = {name: value for name, value in values.items() if math.isfinite(value)}
    counted = [text for name, text in texts.items() if name not in values]
    version = "-".join(counted or texts.values())
    step = next((step_of(texts[n]) for n in ("step", "epoch") if n in texts), None)
    spans = [match.span(f"f{i}") for i in range(len(template.fields))]
    label = _literal(relative[:start]) + _fill(match.string, spans)
    return Place(label, version, step, metrics)


def _fill(name: str, spans: list[tuple[int, int]]) -> str:
    label, at = "", 0
    for a, b in spans:
        label += _literal(name[at:a]) + "{}"
        at = b
    return label + _literal(name[at:])


def _literal(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _is_a_time(match: re.Match[str]) -> bool:
    part = {k: int(v) for k, v in match.groupdict(default="0").items() if k != "dash"}
    return (
        1970 <= part["year"] <= 9999  # noqa: PLR2004 - what time() and a four-digit year can say
        and 1 <= part["month"] <= 12  # noqa: PLR2004 - months of a year
        and 1 <= part["day"] <= 31  # noqa: PLR2004 - days of a month
        and part["hour"] < 24  # noqa: PLR2004 - hours of a day
        and part["minute"] < 60  # noqa: PLR2004 - minutes of an hour
        and part["second"] <= 60  # noqa: PLR2004 - seconds of a minute, with a leap second
    )
