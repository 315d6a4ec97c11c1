"""Whether the daemon makes progress, and which problems need attention."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.observe.health import Health, Progress, WatchProgress, judge
from checkpointd.observe.problems import PROBLEMS, Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from checkpointd.daemon.watches import Watches
    from checkpointd.daemon.work_queue import WorkQueue

_OVERDUE_SECONDS = 300.0


class HealthMonitor:
    """Judges the daemon by when its parts last made progress.

    Args:
        watches: the watches that run.
        work: the verifications that go on.
        timeout: seconds after which a verification should have been ended.
    """

    def __init__(self, watches: Watches, work: WorkQueue, timeout: float) -> None:
        self._watches = watches
        self._work = work
        self._timeout = timeout
        self._sources: list[tuple[str, Callable[[], Iterable[str]]]] = []
        self._loop_at = self._supervisor_at = time.monotonic()

    def add_source(self, reason: str, problems: Callable[[], Iterable[str]]) -> None:
        """Ask a function for problems at each check.

        Args:
            reason: one of `PROBLEMS`.
            problems: returns sentences; empty ones are left out.

        Raises:
            ValueError: there is no such reason.
        """
        if reason not in PROBLEMS:
            raise ValueError(f"the reason {reason!r} is not declared in observe.problems")
        self._sources.append((reason, problems))

    def loop_runs(self) -> None:
        """Note that the event loop goes on."""
        self._loop_at = time.monotonic()

    def supervisor_runs(self) -> None:
        """Note that the supervisor has found all its parts running."""
        self._supervisor_at = time.monotonic()

    def check(self) -> Health:
        """Judge the parts as they are now."""
        watches = []
        for name, watch in self._watches.items():
            status = watch.watcher.status()
            watches.append(
                WatchProgress(
                    name,
                    up=status.up,
                    reconciled=status.ready,
                    hung=status.hung,
                    begins=status.begins,
                    message=status.message,
                )
            )
        # A verification that should have been ended long ago: nobody ends it any more.
        ends = (running.since + self._timeout for running in self._work.running.values())
        supervisor_at = min([self._supervisor_at, *ends])
        health = judge(
            Progress(self._loop_at, supervisor_at, tuple(watches)),
            time.monotonic(),
            supervisor_seconds=_OVERDUE_SECONDS,
        )
        problems = (
            Problem(reason, text) for reason, source in self._sources for text in source() if text
        )
        return replace(health, problems=(*problems, *health.problems))
