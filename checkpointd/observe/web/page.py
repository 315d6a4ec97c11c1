"""The status page: the daemon's state on one screen, for whoever is on call.

What the page contains is decided here, as plain facts; the template only lays it out. Everything
is escaped twice: names by `printable`, markup by the template engine.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import importlib.resources
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup

from checkpointd.core import text
from checkpointd.core.suite import cure_of
from checkpointd.ledger import State

if TYPE_CHECKING:
    from checkpointd.observe.status import DaemonStatus, VerdictStatus, WatchStatus

REFRESH_SECONDS = 10
RECENT_SECONDS = 24 * 3600.0
"""For how long an invalid checkpoint is listed among the things to do."""

_NOT_VALID = ("invalid", "inconclusive")
_FILES = importlib.resources.files("checkpointd.observe.web") / "templates"
_CSS = (_FILES / "status.css").read_text(encoding="utf-8")
_CSS_HASH = base64.b64encode(hashlib.sha256(_CSS.encode()).digest()).decode()

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_CSS_HASH}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True)
class Todo:
    """Something that a person should act on: `tone` is bad or warn, `cure` is what helps."""

    tone: str
    what: str
    cure: str = ""


@dataclass(frozen=True)
class Headline:
    """The sentence at the top: `tone` is good, wait, warn or bad."""

    tone: str
    title: str
    detail: str


def todos(status: DaemonStatus, now: float) -> list[Todo]:
    """What needs a person's attention, the gravest first, nothing twice."""
    grave = "warn" if status.healthy else "bad"
    found = []
    if status.config_error:
        found.append(
            Todo(
                "warn",
                "The config could not be loaded; the old one is still in use: "
                f"{status.config_error}",
                "Find every error with: checkpointd config check. Then: checkpointd reload.",
            )
        )
    down = [watch for watch in status.watches if not watch.up]
    found += [
        Todo(
            "bad",
            f"Watch {watch.name} cannot see {watch.path}: "
            f"{watch.message or 'its directory cannot be read.'}",
            "Look at the mount and the permissions; the watch recovers by itself.",
        )
        for watch in down
    ]
    starts = tuple(f"Watch {watch.name} is down" for watch in down)
    found += [
        Todo(grave, problem)
        for problem in status.problems
        if not (starts and problem.startswith(starts)) and problem != status.config_error
    ]
    found += [
        Todo(
            "warn",
            f"Pruning is on hold in {watch.name}"
            + (f", series {hold.series}" if hold.series else "")
            + f": {hold.reason}",
            f"{hold.message} {hold.cure}".strip(),
        )
        for watch in status.watches
        for hold in watch.holds
    ]
    found += _verdict_todos(status, now)
    return sorted(dict.fromkeys(found), key=lambda todo: todo.tone != "bad")


def _verdict_todos(status: DaemonStatus, now: float) -> list[Todo]:
    """What is not valid now, newest first; how many more there are takes one line."""
    recent = [
        v for v in status.attention if v.verdict in _NOT_VALID and now - v.at < RECENT_SECONDS
    ]
    found = [
        Todo("warn", f"{v.verdict.capitalize()}: {v.path}: {v.message or v.reason}", _cure(v))
        for v in recent
    ]
    more = sum(status.count(verdict) for verdict in _NOT_VALID) - len(recent)
    if recent and more > 0:
        found.append(
            Todo(
                "warn",
                f"{more} more are invalid or inconclusive.",
                "checkpointd list --state invalid --state inconclusive",
            )
        )
    return found


def headline(status: DaemonStatus, found: list[Todo]) -> Headline:
    """The one sentence at the top."""
    watches = len(status.watches)
    if not status.healthy:
        return Headline("bad", "Not healthy", "Nothing may be verified now. Start below.")
    if any(todo.tone == "bad" for todo in found):
        return Headline("bad", "Something is broken", "Everything else continues. Start below.")
    if not status.ready:
        return Headline("wait", "Starting", "The first scan is still running.")
    if found:
        things = "One thing needs" if len(found) == 1 else f"{len(found)} things need"
        return Headline("warn", f"{things} attention", "checkpointd itself is healthy.")
    if not watches:
        return Headline("warn", "Nothing is watched", "The config has no [[watch]].")
    plural = "watch" if watches == 1 else "watches"
    return Headline("good", "All is well", f"{watches} {plural}, nothing to do.")


def _cure(verdict: VerdictStatus) -> str:
    return cure_of(verdict.reason)


def _counts(watch: WatchStatus) -> list[tuple[str, int]]:
    counts = dict(watch.counts)
    if watch.unknown:
        counts.setdefault("unknown", watch.unknown)
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


def render_page(status: DaemonStatus, now: float) -> str:
    """Lay the page out.

    Args:
        status: of the daemon.
        now: seconds since the epoch.

    Returns:
        HTML that can be encoded as UTF-8, whatever the names in it are.
    """
    found = todos(status, now)
    html = _template().render(
        status=status,
        now=now,
        todos=found,
        headline=headline(status, found),
        refresh=REFRESH_SECONDS,
        # The stylesheet is ours, and must arrive unescaped to match its hash.
        css=Markup(_CSS),  # noqa: S704 - read from the package, never from a user
        ago=lambda when: text.ago(when, now),
    )
    return text.utf8(html)
