"""Whether the daemon makes progress: a pure decision by when each part last did.

A hung disk is a problem that is reported, not a reason to restart: its thread is blocked and
everything else goes on. Only a stuck loop or supervisor makes the daemon unhealthy, and only
then systemd's watchdog is not notified.
"""

from __future__ import annotations

from dataclasses import dataclass

from checkpointd.core.text import duration, printable
from checkpointd.observe import problems as reasons
from checkpointd.observe.problems import Problem

LOOP_SECONDS = 10.0
"""A loop that did not run for so long is stuck."""

SUPERVISOR_SECONDS = 30.0
"""A supervisor that did not check its parts for so long is stuck."""


@dataclass(frozen=True)
class WatchProgress:
    """One watch: whether it can see its directory, and whether it has compared all of it once.

    `hung`: its file system does not answer. `begins`: it has not looked at its directory yet.
    `message` is why the watch is down.
    """

    name: str
    up: bool = True
    reconciled: bool = False
    hung: bool = False
    begins: bool = False
    message: str = ""


@dataclass(frozen=True)
class Progress:
    """When each part last did something, in monotonic seconds; None: it has not started."""

    loop_at: float | None
    supervisor_at: float | None
    watches: tuple[WatchProgress, ...] = ()


@dataclass(frozen=True)
class Health:
    """`healthy`: loop and supervisor go on.

    `ready`: every watch that is there was scanned once, and its file system answers.

    `problems` come the gravest first; there may be some although it is healthy.
    """

    healthy: bool
    ready: bool
    problems: tuple[Problem, ...]


def judge(
    progress: Progress,
    now: float,
    *,
    loop_seconds: float = LOOP_SECONDS,
    supervisor_seconds: float = SUPERVISOR_SECONDS,
) -> Health:
    """Judge the daemon by its parts.

    Args:
        progress: when each part last did something.
        now: monotonic seconds.
        loop_seconds: how long the event loop may stand still.
        supervisor_seconds: how long the supervisor may.
    """
    stuck = [
        Problem(reason, text)
        for reason, name, at, limit in (
            (reasons.EVENT_LOOP_STUCK, "event loop", progress.loop_at, loop_seconds),
            (reasons.SUPERVISOR_STUCK, "supervisor", progress.supervisor_at, supervisor_seconds),
        )
        if (text := _stuck(name, at, now, limit))
    ]
    problems = [
        Problem(reasons.WATCH_DOWN, _down(watch))
        for watch in progress.watches
        if not watch.up and not watch.begins
    ]
    scanning = [
        printable(w.name) for w in progress.watches if w.begins or (w.up and not w.reconciled)
    ]
    if scanning:
        text = f"The first scan is not done yet: {', '.join(scanning)}."
        problems.append(Problem(reasons.FIRST_SCAN, text))
    ready = not stuck and not scanning and not any(w.hung for w in progress.watches)
    return Health(healthy=not stuck, ready=ready, problems=tuple(stuck + problems))


def _stuck(name: str, at: float | None, now: float, limit: float) -> str:
    if at is None:
        return f"The {name} has not started."
    if now - at > limit:
        return f"The {name} has not run for {duration(now - at)}: restart checkpointd."
    return ""


def _down(watch: WatchProgress) -> str:
    why = printable(watch.message).rstrip(".") or "its directory cannot be read"
    return f"Watch {printable(watch.name)} is down: {why}."
