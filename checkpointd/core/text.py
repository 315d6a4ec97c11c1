"""Names, sizes and times as people and protocols can read them: the only place that formats them.

A path may hold newlines, terminal escapes, and bytes that are not UTF-8 (which `os.fsdecode`
keeps as lone surrogates). Each output has its own function that escapes what it cannot hold.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import Any

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEP = 1024
_FIRST_BYTE, _LAST_BYTE, _LAST_SHORT = 0xDC80, 0xDCFF, 0xFFFF
_DURATIONS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))
_EXACT_DURATIONS = {"d": 86400.0, "h": 3600.0, "m": 60.0}
_SHORTEST = 0.01


def utf8(text: str) -> str:
    r"""Write bytes that are not UTF-8 as `\xff`; everything else stays as it is."""
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raw = text.encode("utf-8", "backslashreplace")
    return raw.decode("utf-8", "backslashreplace")


def printable(text: str, limit: int | None = None) -> str:
    """Write newlines, terminal escapes and invisible characters as escapes, like `repr`.

    Args:
        text: of anybody; the result is one line.
        limit: how many characters of it to use; the rest becomes `…`.
    """
    kept = text if limit is None else text[:limit]
    if not kept.isprintable():
        kept = "".join(
            c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in utf8(kept)
        )
    return kept if limit is None or len(text) <= limit else f"{kept}…"


def sentence(text: str) -> str:
    """Write a message on one line: line breaks become blanks, what cannot be seen an escape."""
    return printable(" ".join(text.split()))


def metric_label(text: str) -> str:
    r"""Write a name as the label of a metric: printable, and different for different names.

    A byte that is not UTF-8 becomes `\xff`, an invisible character `\u001b`, and so a backslash
    `\\`: two samples with the same labels would make Prometheus reject the whole scrape.
    """
    if text.isprintable() and "\\" not in text:
        return text
    return "".join(c if c.isprintable() and c != "\\" else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    if character == "\\":
        return "\\\\"
    if _FIRST_BYTE <= code <= _LAST_BYTE:
        return f"\\x{code - _FIRST_BYTE + 0x80:02x}"
    return f"\\u{code:04x}" if code <= _LAST_SHORT else f"\\U{code:08x}"


def encodable(value: Any) -> Any:
    """Make every string inside a JSON-like value encodable as UTF-8."""
    if isinstance(value, str):
        return utf8(value)
    if isinstance(value, dict):
        return {encodable(k): encodable(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [encodable(v) for v in value]
    return value


def json_text(value: Any) -> str:
    """Write strict JSON in ASCII: NaN and Inf become null, odd bytes in names stay as escapes."""
    try:
        return json.dumps(value, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return value


def size(count: float) -> str:
    """Write bytes in the largest unit that leaves at least one of it: `1.5 GiB`."""
    value = float(count)
    for unit in _UNITS:
        if abs(value) < _STEP or unit == _UNITS[-1]:
            break
        value /= _STEP
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def duration(seconds: float) -> str:
    """Write a duration roughly, in the largest unit that fits: `0.4 s`, `12 s`, `3 min`, `2 d`."""
    for length, unit in _DURATIONS:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    if 0 < seconds < _SHORTEST:
        return f"<{_SHORTEST:g} s"
    return f"{max(seconds, 0.0):.2g} s"


def exact_duration(seconds: float) -> str:
    """Write a duration exactly, and as short as the config allows: `36h` is `1d12h`."""
    parts = []
    rest = seconds
    for unit, length in _EXACT_DURATIONS.items():
        count, rest = divmod(rest, length)
        if count:
            parts.append(f"{int(count)}{unit}")
    if rest or not parts:
        parts.append(f"{rest:g}s")
    return "".join(parts)


def ago(when: float, now: float) -> str:
    """Write how long ago a moment was; both are seconds since the epoch."""
    passed = round(now - when)
    return "just now" if passed < 1 else f"{duration(passed)} ago"


def iso(when: float) -> str:
    """Write a moment, in seconds since the epoch, as ISO 8601 in UTC.

    What no calendar has (a file may claim any time) is written as `touch -d` takes it: `@1e+15`.
    """
    try:
        moment = dt.datetime.fromtimestamp(when, dt.timezone.utc)
    except (ValueError, OverflowError, OSError):
        return f"@{when:g}"
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
