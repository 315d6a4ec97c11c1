"""Lays pages out: the template engine, the stylesheet, the script, and the policy that allows them.

Everything is escaped twice: names by `printable`, markup by the template engine. The stylesheet
and the script are inline, and the policy allows those very texts by their hashes and nothing else.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.resources
import json
import os
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from checkpointd.core import text
from checkpointd.core.suite import cure_of

if TYPE_CHECKING:
    import jinja2

REFRESH_SECONDS = 10
"""How often a browser without scripts loads the page again; the script does it twice as often."""

_FILES = importlib.resources.files("checkpointd.observe.web") / "templates"


def _read(name: str) -> str:
    return (_FILES / name).read_text(encoding="utf-8")


_CSS, _SCRIPT = _read("status.css"), _read("live.js")


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src {_hash(_CSS)}; script-src {_hash(_SCRIPT)}; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)

TONES = {
    "valid": "good",
    "invalid": "bad",
    "inconclusive": "warn",
    "pass": "good",
    "fail": "bad",
    "error": "warn",
    "warn": "warn",
    "skip": "",
    "pending": "wait",
    "writing": "wait",
    "superseded": "wait",
}
"""The colour of a state or of a check's outcome."""


def _finalize(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Markup):
        return text.printable(value)
    return value


def clock(when: float) -> str:
    """Write a moment as people read it: `2027-01-15 08:00 UTC`."""
    return f"{text.iso(when)[:16].replace('T', ' ')} UTC"


@functools.cache
def _environment() -> jinja2.Environment:
    import jinja2  # most daemons never show a page

    environment = jinja2.Environment(
        autoescape=True,
        finalize=_finalize,
        undefined=jinja2.ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.FunctionLoader(_read),
    )
    environment.filters |= {
        "size": text.size,
        "iso": text.iso,
        "clock": clock,
        "duration": text.duration,
        "cure": cure_of,
        "basename": os.path.basename,
        "tojson_text": lambda value: json.dumps(text.encodable(value), ensure_ascii=False),
        "tone": lambda state: TONES.get(str(state), ""),
    }
    return environment


def render(name: str, now: float, **facts: Any) -> str:
    """Lay a page out.

    Args:
        name: of its template.
        now: seconds since the epoch.
        facts: what the template shows.

    Returns:
        HTML that can be encoded as UTF-8, whatever the names in it are.
    """
    html = (
        _environment()
        .get_template(name)
        .render(
            now=now,
            refresh=REFRESH_SECONDS,
            # Ours, and must arrive unescaped to match their hashes.
            css=Markup(_CSS),  # noqa: S704 - read from the package, never from a user
            script=Markup(_SCRIPT),  # noqa: S704 - read from the package, never from a user
            ago=lambda when: text.ago(when, now),
            **facts,
        )
    )
    return text.utf8(html)
