"""Which names are versions of one model: the series, version, step and metrics of a name.

Pure, and from one name alone: no other file changes what a name means. Only names with a counter
form a series (see `numbers`); every other name is a series of its own, because a wrong guess here
would let retention remove one model as an older version of another.
"""

from __future__ import annotations

import math
import re
import string
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format, spec_of
from checkpointd.watch.version_numbers import Numbers, of_directory, of_name, step_of

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_MAX_PARENTS = 4
"""Directories above a model that may count its saves, as in `checkpoint_000010/policy/model`."""

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
class ParsedName:
    """What the name of a checkpoint means.

    `series` is the path below the root with `{}` for the version (braces that are part of a name
    are doubled); `version` is the text in its place, empty for a series of one.
    """

    series: str
    version: str = ""
    step: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Template:
    """A `version` template of the config, compiled to an anchored pattern."""

    pattern: re.Pattern[str]
    fields: tuple[str, ...]
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
    try:
        parsed = list(string.Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"version: {template!r} is not a template: {error}") from None
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


def parse_name(
    relative: str,
    format: Format,  # noqa: A002 - the field's own name
    template: str | None = None,
    stems: Collection[str] = (),
) -> ParsedName:
    """Return what the name of a checkpoint means.

    Args:
        relative: its path below the root of the watch, a prefix without `.index`.
        format: its format; only the name of a directory may be a mere number.
        template: the watch's `version` template, in the syntax of Keras.
        stems: the prefixes of a TensorFlow checkpoint's versions, up to the number, from the
            `checkpoint` state file beside it (`checkpointd.formats.state_file.stems`).

    Raises:
        ValueError: the template is not valid.
    """
    if template is not None:
        name_by_template = _by_template(relative, compile_template(template))
        if name_by_template is not None:
            return name_by_template
    start = relative.rfind("/") + 1
    name = relative[start:]
    spec = spec_of(format)
    promised = bool(spec and relative.lower().endswith(spec.endings or ("/",)))
    is_directory = bool(spec and spec.directory_test) and not promised
    stem = next((s for s in stems if _is_listed(name, s)), None)
    if stem is not None and format is Format.TF_CHECKPOINT:
        step = step_of(name[len(stem) :])
        return _parsed(relative, Numbers(((start + len(stem), len(relative)),), step))
    return _parsed(relative, _of_path(relative, start, is_directory=is_directory))


def _of_path(relative: str, start: int, *, is_directory: bool) -> Numbers:
    """Return the numbers of a path: those of its name, else of a directory that counts saves."""
    name = relative[start:]
    mine = _of_last(name if is_directory else _SUFFIX.sub("", name), is_directory=is_directory)
    mine = _moved(mine, start)
    if mine.spans:
        return mine
    end = start - 1
    for _ in range(_MAX_PARENTS):
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


def _parsed(relative: str, numbers: Numbers) -> ParsedName:
    """Return a name from its numbers; without a counter, the values of metrics are the version."""
    version = "-".join(relative[a:b] for a, b in numbers.spans or numbers.metric_spans)
    label = _fill(relative, sorted((*numbers.spans, *numbers.metric_spans)))
    return ParsedName(label, version, numbers.step, numbers.metrics)


def _is_listed(name: str, stem: str) -> bool:
    return name.startswith(stem) and _DIGITS.match(name, len(stem)) is not None


def _of_last(stem: str, *, is_directory: bool) -> Numbers:
    """Return the numbers of a checkpoint's last name part: a counter of saves, else a time."""
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


def _by_template(relative: str, template: Template) -> ParsedName | None:
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
    return ParsedName(label, version, step, metrics)


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
        1970 <= part["year"] <= 9999  # noqa: PLR2004 - the range of time() and of a four-digit year
        and 1 <= part["month"] <= 12  # noqa: PLR2004 - months of a year
        and 1 <= part["day"] <= 31  # noqa: PLR2004 - days of a month
        and part["hour"] < 24  # noqa: PLR2004 - hours of a day
        and part["minute"] < 60  # noqa: PLR2004 - minutes of an hour
        and part["second"] <= 60  # noqa: PLR2004 - seconds of a minute, with a leap second
    )
