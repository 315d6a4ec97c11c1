"""The status page: from the daemon's state to one screen for whoever is called at night.

What is to be said is decided here, as plain facts; the template only lays it out. Everything is
escaped twice over: names by `printable`, markup by the template engine.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.resources
from dataclasses import dataclass
from typing import Any

import jinja2
from markupsafe import Markup

from checkpointd.core import text
from checkpointd.core.suite import cure_of
from checkpointd.ledger import State
from checkpointd.observe.sandbox import sandbox_line

REFRESH_SECONDS = 10
RECENT_SECONDS = 24 * 3600.0
"""For how long an invalid checkpoint stands among the things to do."""

_WANTING = ("invalid", "inconclusive")
_FILES = importlib.resources.files("checkpointd.observe.web") / "templates"
_CSS = (_FILES / "status.css").read_text(encoding="utf-8")
_CSS_HASH = base64.b64encode(hashlib.sha256(_CSS.encode()).digest()).decode()

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_CSS_HASH}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Todo:
    """Something that wants a person: how grave (`bad` or `warn`), what, and what helps."""

    tone: str
    what: str
    cure: str = ""


@dataclass(frozen=True)
class Headline:
    """The one glance: `tone` is good, wait, warn or bad."""

    tone: str
    title: str
    detail: str


def todos(status: dict[str, Any], now: float) -> list[Todo]:
    """What wants a person's attention, the gravest first, nothing twice."""
    grave = "warn" if status.get("healthy") else "bad"
    found = []
    if status.get("config_error"):
        found.append(
            Todo(
                "warn",
                f"The config could not be loaded; the old one goes on: {status['config_error']}",
                "Find every error with: checkpointd config check. Then: checkpointd reload.",
            )
        )
    down = [w for w in status.get("watches", ()) if not w.get("up")]
    found += [
        Todo(
            "bad",
            f"Watch {w.get('name')} cannot see {w.get('path')}: "
            f"{w.get('message') or 'its directory cannot be read.'}",
            "Look at the mount and the permissions; it comes back by itself.",
        )
        for w in down
    ]
    starts = tuple(f"Watch {w.get('name')} is down" for w in down)
    found += [
        Todo(grave, problem)
        for problem in status.get("problems", ())
        if not (starts and problem.startswith(starts)) and problem != status.get("config_error")
    ]
    for watch in status.get("watches", ()):
        found += [
            Todo(
                "warn",
                f"Pruning is on hold in {watch.get('name')}"
                + (f", series {hold['series']}" if hold.get("series") else "")
                + f": {hold.get('reason')}",
                hold.get("cure", ""),
            )
            for hold in watch.get("holds", ())
        ]
    found += _verdict_todos(status, now)
    return sorted(dict.fromkeys(found), key=lambda todo: todo.tone != "bad")


def _verdict_todos(status: dict[str, Any], now: float) -> list[Todo]:
    """What is not valid now, newest first; how many more there are is said in one line."""
    wanting = status.get("attention", status.get("last_verdicts", ()))
    recent = [
        v
        for v in wanting
        if v.get("verdict") in _WANTING and now - v.get("at", 0.0) < RECENT_SECONDS
    ]
    found = [
        Todo(
            "warn",
            f"{v['verdict'].capitalize()}: {v.get('path')}: {v.get('message') or v.get('reason')}",
            _cure(v),
        )
        for v in recent
    ]
    counted = sum(
        int(watch.get("counts", {}).get(verdict, 0))
        for watch in status.get("watches", ())
        for verdict in _WANTING
    )
    if recent and counted > len(recent):
        found.append(
            Todo(
                "warn",
                f"{counted - len(recent)} more are invalid or inconclusive.",
                "checkpointd list --state invalid --state inconclusive",
            )
        )
    return found


def headline(status: dict[str, Any], found: list[Todo]) -> Headline:
    """The one sentence at the top."""
    watches = len(status.get("watches", ()))
    plural = "watch" if watches == 1 else "watches"
    if not status.get("healthy"):
        return Headline("bad", "Not healthy", "Nothing may be verified now. Start below.")
    if any(todo.tone == "bad" for todo in found):
        return Headline("bad", "Something is broken", "The rest goes on. Start below.")
    if not status.get("ready"):
        return Headline("wait", "Starting", "The first scan is still going on.")
    if found:
        things = "One thing wants" if len(found) == 1 else f"{len(found)} things want"
        return Headline("warn", f"{things} a look", "checkpointd itself is healthy.")
    if not watches:
        return Headline("warn", "Nothing is watched", "The config has no [[watch]].")
    return Headline("good", "All is well", f"{watches} {plural}, nothing to do.")


def _cure(verdict: dict[str, Any]) -> str:
    return cure_of(verdict.get("reason") or "")


def _counts(watch: dict[str, Any]) -> list[tuple[str, int]]:
    counts: dict[str, int] = {str(k): int(v) for k, v in watch.get("counts", {}).items()}
    if "unknown" not in counts and watch.get("unknown"):
        counts["unknown"] = int(watch["unknown"])
    states = [str(state) for state in State if state is not State.GONE]
    return [(state, counts[state]) for state in states if counts.get(state)]


def _finalize(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Markup):
        return text.printable(value)
    return value


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        finalize=_finalize,
        undefined=jinja2.ChainableUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        loader=jinja2.BaseLoader(),
    )
    environment.filters |= {"size": text.size, "iso": text.iso, "cure": _cure, "counts": _counts}
    return environment.from_string((_FILES / "status.html.j2").read_text(encoding="utf-8"))


def render_page(status: dict[str, Any], now: float) -> str:
    """Lay the page out.

    Args:
        status: the object of `/api/v1/status`; what is missing in it is left out of the page.
        now: seconds since the epoch.

    Returns:
        HTML that can be encoded as UTF-8, whatever the names in it are.
    """
    found = todos(status, now)
    html = _template().render(
        status=status,
        sandbox=sandbox_line(status.get("sandbox") or {}),
        now=now,
        todos=found,
        headline=headline(status, found),
        refresh=REFRESH_SECONDS,
        # The stylesheet is ours, and must arrive unescaped to match its hash.
        css=Markup(_CSS),  # noqa: S704 - read from the package, never from a user
        ago=lambda when: text.ago(when, now),
    )
    return text.utf8(html)
