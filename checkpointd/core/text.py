"""Names as people and protocols can read them.

A path may hold newlines, terminal escapes, and bytes that are no UTF-8 (which `os.fsdecode`
keeps as lone surrogates). Each output needs another part of that taken out.
"""

from __future__ import annotations

import datetime as dt
import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEP = 1024
_FIRST_BYTE, _LAST_BYTE, _LAST_SHORT = 0xDC80, 0xDCFF, 0xFFFF
_SPANS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"))


def utf8(text: str) -> str:
    r"""Write bytes that are no UTF-8 as `\xff`; everything else stays as it is."""
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raw = text.encode("utf-8", "backslashreplace")
    return raw.decode("utf-8", "backslashreplace")


def shown(text: str) -> str:
    """Also write newlines, terminal escapes and invisible characters as escapes, like `repr`."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in utf8(text)
    )


def label(text: str) -> str:
    r"""Write a name as a label of a metric: printable, and no two names the same.

    A byte that is no UTF-8 becomes `\xff`, a character that cannot be seen `\u001b`, and so a
    backslash `\\`: two samples of one name would spoil a scrape.
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


def clean(value: Any) -> Any:
    """Make every string inside a JSON-like value encodable as UTF-8."""
    if isinstance(value, str):
        return utf8(value)
    if isinstance(value, dict):
        return {clean(k): clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(v) for v in value]
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
    """Bytes in a unit that a person reads: `1.5 GiB`."""
    value = float(count)
    for unit in _UNITS:
        if abs(value) < _STEP or unit == _UNITS[-1]:
            break
        value /= _STEP
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"


def span(seconds: float) -> str:
    """A duration in its largest sensible unit: `12 s`, `3 min`, `5 h`, `2 d`."""
    for length, unit in _SPANS:
        if seconds >= length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(seconds, 0.0):.0f} s"


def exact_span(seconds: float) -> str:
    """A duration in the largest unit that divides it: `36 h`, `90 min`, `1.5 s`."""
    for length, unit in (*_SPANS, (1.0, "s")):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:g} s"


def ago(when: float, now: float) -> str:
    """How long ago a moment was; both are seconds since the epoch."""
    passed = now - when
    return "just now" if passed < 1 else f"{span(passed)} ago"


def iso(when: float) -> str:
    """A moment, in seconds since the epoch, as ISO 8601 in UTC."""
    return dt.datetime.fromtimestamp(when, dt.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def sandbox(facts: Mapping[str, Any]) -> str:
    """Say in one line what confines the loading of models here.

    Args:
        facts: `sandbox` of the daemon's status.
    """
    mode = str(facts.get("mode", "?"))
    if "self_test" not in facts:
        return f"{mode}, tried as soon as a worker has started"
    version = facts.get("landlock")
    layers = (
        f"Landlock version {version}" if version else "no Landlock",
        "seccomp" if facts.get("seccomp") else "no seccomp",
        f"self-test {facts['self_test']}",
    )
    missing = "; ".join(str(clause) for clause in facts.get("missing", ()))
    return f"{mode}: {', '.join(layers)}{': ' + missing if missing else ''}"
