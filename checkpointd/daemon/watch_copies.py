"""The checkpoints of one watch that wait for their copy, failed ones, and when to retry them."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from checkpointd.core.text import sentence
from checkpointd.daemon.hooks import retry_delay
from checkpointd.daemon.threads import DiskThread
from checkpointd.observe.replication_status import ReplicationStatus
from checkpointd.retention.replication import LOOK_SECONDS, copying_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from checkpointd.config import WatchSettings
    from checkpointd.ledger import Unreplicated

_LONGEST_PAUSE_SECONDS = 300.0
_NAMED = 3


@dataclass(frozen=True)
class Failure:
    """A checkpoint that could not be copied: how often, when it is tried again, and why.

    `why` is empty where it was being saved again: nobody needs to do anything about that.
    """

    attempts: int
    due: float
    why: str


class WatchCopies:
    """The copies of one watch: its task and its disk thread, what waits and what failed.

    Args:
        settings: of the watch, with a `to`.
    """

    def __init__(self, settings: WatchSettings) -> None:
        self.settings = settings
        self.name = settings.name
        self.to = str(settings.replicate.to)
        self.wake = asyncio.Event()
        self.stop = threading.Event()
        self.disk = DiskThread(f"replicate-{settings.name}")
        self.task: asyncio.Task[None] | None = None
        self.since: float | None = None
        self.copying = ""
        self.store_failure = ""
        self.look_at = 0.0
        self.pace = 0.0
        """For how many seconds what waits is not looked for again."""
        self._waiting: list[Unreplicated] = []
        self._oldest_at: float | None = None
        self._bytes = 0
        self._failures: dict[str, Failure] = {}
        self._in_a_row = 0
        self._paused_until = 0.0

    def set_waiting(self, waiting: Iterable[Unreplicated]) -> None:
        """Set the checkpoints that wait; failures of all others are forgotten."""
        self._waiting = copying_order(waiting)
        self._measure()
        paths = {unreplicated.path for unreplicated in self._waiting}
        self._failures = {p: why for p, why in self._failures.items() if p in paths}

    def _measure(self) -> None:
        """Sum up what waits, for the status, which asks every second: there may be very many."""
        begins = (
            max(unreplicated.verified_at, self.since or 0.0) for unreplicated in self._waiting
        )
        self._oldest_at = min(begins, default=None)
        self._bytes = sum(unreplicated.size_bytes for unreplicated in self._waiting)

    def is_paused(self) -> bool:
        """Whether the store failed, and is not asked again yet."""
        return time.monotonic() < self._paused_until

    def due(self) -> Iterator[Unreplicated]:
        """What can be copied now, in order."""
        for unreplicated in list(self._waiting):
            failure = self._failures.get(unreplicated.path)
            if failure is None or time.monotonic() >= failure.due:
                yield unreplicated

    def next_due(self) -> float:
        """In how many seconds something that failed is tried again; at most a round."""
        now = time.monotonic()
        times = [f.due for f in self._failures.values()]
        if self._paused_until > now:
            times = [self._paused_until]
        return max(0.0, min((at - now for at in times), default=LOOK_SECONDS))

    def note_copied(self, path: str) -> bool:
        """Note that a checkpoint was copied; return whether the store had failed before."""
        self._waiting = [
            unreplicated for unreplicated in self._waiting if unreplicated.path != path
        ]
        self._measure()
        self._failures.pop(path, None)
        had_failed = bool(self.store_failure)
        self.store_failure, self._in_a_row, self._paused_until = "", 0, 0.0
        return had_failed

    def note_failure(self, path: str, why: str) -> int:
        """Note that one checkpoint cannot be copied; return how often that has happened."""
        before = self._failures.get(path)
        attempts = before.attempts + 1 if before is not None else 1
        due = time.monotonic() + retry_delay(attempts)
        self._failures[path] = Failure(attempts, due, why)
        return attempts

    def note_store_failure(self, why: str) -> int:
        """Note that the store failed; return how often in a row. All of the watch waits."""
        self.store_failure = why
        self._in_a_row += 1
        pause = min(retry_delay(self._in_a_row), _LONGEST_PAUSE_SECONDS)
        self._paused_until = time.monotonic() + pause
        return self._in_a_row

    def retry(self) -> None:
        """Try everything again now."""
        self._paused_until = 0.0
        self._failures = {p: replace(why, due=0.0) for p, why in self._failures.items()}
        self.wake.set()

    def status(self) -> ReplicationStatus:
        """What waits, since when, and what failed."""
        reasons = [f.why for f in self._failures.values() if f.why]
        return ReplicationStatus(
            to=self.to,
            waiting=len(self._waiting),
            waiting_bytes=self._bytes,
            oldest_at=self._oldest_at,
            copying=self.copying,
            failure=sentence(self.store_failure or next(iter(reasons), "")),
        )

    def problems(self, *, is_tight: bool) -> Iterator[str]:
        """Sentences about what is not copied; `is_tight`: the next saves may not fit the disk."""
        space = (
            " The disk has too little space for the next saves, and nothing that waits for its "
            "copy can be pruned."
            if is_tight and self._waiting
            else ""
        )
        if self.store_failure:
            yield (
                f"Watch {self.name}: nothing is copied to {self.to}: "
                f"{self.store_failure.rstrip('.')}. It is tried again; what waits for its copy is "
                f"not pruned.{space}"
            )
        failed = [(path, f.why) for path, f in self._failures.items() if f.why]
        for path, why in failed[:_NAMED]:
            yield (
                f"Watch {self.name}: {path} is not copied to {self.to}, and not pruned: "
                f"{why.rstrip('.')}.{space}"
            )
        if len(failed) > _NAMED:
            yield (
                f"Watch {self.name}: {len(failed) - _NAMED} more are not copied to {self.to}; the "
                "log names them."
            )
        if space and not self.store_failure and not failed:
            yield (
                f"Watch {self.name}: checkpoints wait to be copied to {self.to}, and are not "
                f"pruned until then.{space}"
            )

    async def close(self) -> None:
        """End the copy that is being made: no object comes of it; a hung disk is left behind."""
        self.stop.set()
        self.disk.close()
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
