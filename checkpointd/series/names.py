"""Which names are versions of one model: the series, version, step and metrics of a name.

Pure, and from one name alone: no other file changes what a name means. Only names with a counter
form a series (see `numbers`); every other name is a series of its own, because a wrong guess here
would let retention remove one model as an older version of another.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format, spec_of
from checkpointd.series.labels import ParsedName, label_of
from checkpointd.series.model_words import holds_models
from checkpointd.series.numbers import Numbers, of_directory, of_name, step_of
from checkpointd.series.templates import by_template, compile_template

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

_MAX_PARENTS = 4
"""Directories above a model that may count its saves, as in `checkpoint_000010/policy/model`."""

SUFFIX = re.compile(r"(\.weights)?\.(keras|h5|hd5|hdf5|hdf|json)\Z|\.ckpt\Z", re.IGNORECASE)
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


def parse_name(
    relative: str,
    format: Format,
    templates: Sequence[str] = (),
    stems: Collection[str] = (),
) -> ParsedName:
    """Return what the name of a checkpoint means.

    Args:
        relative: its path below the root of the watch, a prefix without `.index`.
        format: its format; only the name of a directory may be a mere number.
        templates: the watch's `version` templates, in the syntax of Keras; the first that matches
            counts.
        stems: the prefixes of a TensorFlow checkpoint's versions, up to the number, from the
            `checkpoint` state file beside it (`checkpointd.formats.state_file.stems`).

    Raises:
        ValueError: a template is not valid.
    """
    for template in templates:
        name_by_template = by_template(relative, compile_template(template))
        if name_by_template is not None:
            return name_by_template
    numbers = numbers_of(relative, format, stems)
    version = "-".join([relative[a:b] for a, b in numbers.spans or numbers.metric_spans])
    label = label_of(relative, sorted((*numbers.spans, *numbers.metric_spans)))
    return ParsedName(label, version, numbers.step, numbers.metrics)


def numbers_of(
    relative: str,
    format: Format,
    stems: Collection[str] = (),
) -> Numbers:
    """Return what the numbers of a name mean without a template; see `parse_name`.

    Without a counter, the values of metrics are the version.
    """
    start = relative.rfind("/") + 1
    name = relative[start:]
    spec = spec_of(format)
    promised = bool(spec and relative.lower().endswith(spec.endings or ("/",)))
    is_directory = bool(spec and spec.directory_test) and not promised
    stem = next((s for s in stems if _is_listed(name, s)), None) if stems else None
    if stem is not None and format is Format.TF_CHECKPOINT:
        step = step_of(name[len(stem) :])
        return Numbers(((start + len(stem), len(relative)),), step)
    return _of_path(relative, start, is_directory=is_directory)


def _of_path(relative: str, start: int, *, is_directory: bool) -> Numbers:
    """Return the numbers of a path: those of its name, else of a directory that counts saves."""
    name = relative[start:]
    numbered = is_directory and not holds_models(relative[: max(start - 1, 0)])
    mine = _of_last(name if is_directory else SUFFIX.sub("", name), is_numbered=numbered)
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
                words=above.words,
                metric_names=(*above.metric_names, *mine.metric_names),
            )
        end = begin - 1
    return mine


def _moved(numbers: Numbers, by: int) -> Numbers:
    if not by or not (numbers.spans or numbers.metric_spans):
        return numbers
    return Numbers(  # `replace` takes three times as long, and there may be very many names
        tuple([(a + by, b + by) for a, b in numbers.spans]),
        numbers.step,
        tuple([(a + by, b + by) for a, b in numbers.metric_spans]),
        numbers.metrics,
        numbers.words,
        numbers.guessed,
        numbers.metric_names,
    )


def _is_listed(name: str, stem: str) -> bool:
    return name.startswith(stem) and _DIGITS.match(name, len(stem)) is not None


def _of_last(stem: str, *, is_numbered: bool) -> Numbers:
    """Return the numbers of a checkpoint's last name part: a counter of saves, else a time.

    Of several times the last is when it was saved, the others are those of runs and data. With
    `is_numbered` a mere number is a version.
    """
    parsed = of_name(stem)
    if parsed.spans:
        return parsed
    times = [match for match in _STAMP.finditer(stem) if _is_a_time(match)]
    if is_numbered and _DIGITS.match(stem):
        span = (0, len(stem))
    elif times:
        span = times[-1].span()
    elif match := _BARE_VERSION.match(stem):
        span = match.span("number")
    elif match := _UNIX.search(stem):
        span = match.span()
    else:
        return parsed
    return replace(parsed, spans=(span,))


def _is_a_time(match: re.Match[str]) -> bool:
    part = {k: int(v) for k, v in match.groupdict(default="0").items() if k != "dash"}
    return (
        1970 <= part["year"] <= 9999  # the range of time() and of a four-digit year
        and 1 <= part["month"] <= 12  # months of a year
        and 1 <= part["day"] <= 31  # days of a month
        and part["hour"] < 24  # hours of a day
        and part["minute"] < 60  # minutes of an hour
        and part["second"] <= 60  # seconds of a minute, with a leap second
    )
