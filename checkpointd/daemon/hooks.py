"""Hands what has happened to the user's commands, from the ledger's queue, until they take it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from functools import partial
from typing import TYPE_CHECKING

import structlog

from checkpointd.daemon.hook_command import end_hooks, run_hook
from checkpointd.ledger import HookCounts, Ledger, LedgerError
from checkpointd.observe.hook_status import HookStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from checkpointd.daemon.threads import LedgerThread
    from checkpointd.daemon.watches import Watches
    from checkpointd.ledger import Change, HookEvent
    from checkpointd.retention import Hold

_FIRST_RETRY_SECONDS = 10.0
_LAST_RETRY_SECONDS = 3600.0
_LAST_PAUSE_SECONDS = 300.0
_DOUBLINGS = 12
_WARN_AT_FAILURE = 3
"""From this many failures in a row on, it is more than a short interruption."""

_GIVE_UP_ATTEMPTS = 10
_GIVE_UP_SECONDS = 24 * 3600.0
_TICK_SECONDS = 1.0
_LOOK_SECONDS = 30.0

log = structlog.get_logger()


def retry_delay(attempts: int) -> float:
    """Seconds until an event is tried again that has failed so often: 10, 20, 40, at most 1 h."""
    doubled = _FIRST_RETRY_SECONDS * float(1 << min(attempts - 1, _DOUBLINGS))
    return min(doubled, _LAST_RETRY_SECONDS)


def is_given_up(attempts: int, age: float) -> bool:
    """Whether an event is given up: after ten attempts and a day."""
    return attempts >= _GIVE_UP_ATTEMPTS and age >= _GIVE_UP_SECONDS


class HookRunner:
    """Runs the hooks of each watch, one event after the other; everything runs in one event loop.

    While the hooks of a watch fail, whatever the event, the pauses between their runs grow to five
    minutes. `failures` are by watch what its hook last failed of, until one succeeds.

    Args:
        ledger: holds the queue.
        watches: the watches that run.
        count: called with a watch, an event and an outcome for each run that has ended.
    """

    def __init__(
        self, ledger: LedgerThread, watches: Watches, count: Callable[[str, str, str], None]
    ) -> None:
        self.failures: dict[str, str] = {}
        self._ledger = ledger
        self._watches = watches
        self._count = count
        self._wake = asyncio.Event()
        self._due: dict[str, float] = {}
        self._paused: dict[str, float] = {}
        self._in_a_row: dict[str, int] = {}
        self._running: dict[str, asyncio.Task[None]] = {}
        self._counts: dict[str, HookCounts] = {}

    def problems(self) -> list[str]:
        """What the hooks of the watches that run have last failed of."""
        return [text for watch, text in self.failures.items() if watch in self._watches]

    def status(self) -> tuple[HookStatus, ...]:
        """The queue of each watch that has hooks."""
        return tuple(
            HookStatus(
                watch=name,
                events=tuple(watch.settings.hooks.commands),
                pending=self._counts.get(name, HookCounts()).pending,
                given_up=self._counts.get(name, HookCounts()).given_up,
                failure=self.failures.get(name, ""),
            )
            for name, watch in self._watches.items()
            if watch.settings.hooks.commands
        )

    def pending(self, name: str) -> int | None:
        """How many events of a watch wait; None if it has no hooks."""
        watch = self._watches.get(name)
        if watch is None or not watch.settings.hooks.commands:
            return None
        return self._counts.get(name, HookCounts()).pending

    def on_change(self, change: Change) -> None:
        """Check the queue of a watch soon: something was recorded in it."""
        self.check_soon(change.watch)

    def check_soon(self, name: str = "", *, at_once: bool = False) -> None:
        """Check the queue of a watch, or of all, soon; `at_once`: even if its hooks just failed."""
        for watch in [name] if name else list(self._watches):
            self._due.pop(watch, None)
            if at_once:
                self._paused.pop(watch, None)
        self._wake.set()

    async def note_holds(self, name: str, holds: Iterable[Hold]) -> None:
        """Queue an event for each hold of a watch that was not there before.

        Raises:
            LedgerError: the ledger cannot be written.
        """
        watch = self._watches.get(name)
        if watch is None or not watch.settings.hooks.on_hold:
            return
        facts = [
            {"series": h.series, "reason": h.reason, "message": h.message, "cure": h.cure}
            for h in holds
        ]
        if await self._ledger(Ledger.note_holds, name, facts):
            self.check_soon(name)

    async def retry(self, identities: Collection[int] | None) -> int:
        """Hand events over again now, all or those with these ids; return how many.

        Raises:
            LedgerError: the ledger cannot be written.
        """
        count = await self._ledger(Ledger.retry_hooks, identities)
        self.check_soon(at_once=True)
        return count

    async def run(self) -> None:
        """Run hooks until cancelled."""
        configured: dict[str, frozenset[str]] | None = None
        while True:
            wanted = {n: frozenset(w.settings.hooks.commands) for n, w in self._watches.items()}
            with contextlib.suppress(LedgerError):
                if wanted != configured:
                    await self._ledger(Ledger.set_hooks, wanted)
                    configured = wanted
                    self._counts = await self._ledger(Ledger.hook_counts)
            self._begin(time.monotonic())
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TICK_SECONDS):
                    await self._wake.wait()

    def _begin(self, now: float) -> None:
        for name, watch in self._watches.items():
            due = max(self._due.get(name, 0.0), self._paused.get(name, 0.0))
            if watch.settings.hooks.commands and name not in self._running and now >= due:
                task = self._running[name] = asyncio.create_task(self._drain(name))
                task.add_done_callback(partial(self._ended, name))

    def _ended(self, name: str, task: asyncio.Task[None]) -> None:
        self._running.pop(name, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._due[name] = time.monotonic() + _LOOK_SECONDS
            if not isinstance(error, LedgerError):
                log.error("running hooks failed because of a bug in checkpointd", exc_info=error)

    async def _drain(self, name: str) -> None:
        """Hand over what is due, until nothing is or a command fails."""
        self._due[name] = time.monotonic() + _LOOK_SECONDS
        try:
            while (event := await self._ledger(Ledger.next_hook, name, time.time())) is not None:
                if not await self._hand_over(name, event):
                    break
        finally:
            self._counts = await self._ledger(Ledger.hook_counts)
        next_at = await self._ledger(Ledger.next_hook_at, name)
        if next_at is not None and name in self._due:
            wait = min(max(0.0, next_at - time.time()), _LOOK_SECONDS)
            self._due[name] = time.monotonic() + wait

    async def _hand_over(self, name: str, event: HookEvent) -> bool:
        """Run the command of an event; return whether the next may follow at once."""
        watch = self._watches.get(name)
        command = watch.settings.hooks.commands.get(event.event) if watch is not None else None
        if watch is None or command is None:
            return False
        result = await run_hook(command, event, watch.settings.hooks.timeout)
        self._count(name, event.event, result.outcome)
        bound = log.bind(watch=name, hook=event.event, path=event.path, id=event.id)
        if result.outcome == "ok":
            await self._ledger(Ledger.finish_hook, event.id)
            self._in_a_row.pop(name, None)
            if self.failures.pop(name, ""):
                bound.info("hook works again", command=command[0])
            bound.debug("hook done", command=command[0])
            return True
        attempts, now = event.attempts + 1, time.time()
        given_up = is_given_up(attempts, now - event.queued_at)
        next_at = now + retry_delay(attempts)
        await self._ledger(Ledger.fail_hook, event.id, result.error, next_at, given_up=given_up)
        if given_up:
            self._count(name, event.event, "given_up")
        failed = self._in_a_row[name] = self._in_a_row.get(name, 0) + 1
        self._paused[name] = time.monotonic() + min(retry_delay(failed), _LAST_PAUSE_SECONDS)
        self._note_failure(name, event, command[0], result.error)
        return False

    def _note_failure(self, name: str, event: HookEvent, command: str, error: str) -> None:
        failed = self._in_a_row.get(name, 0)
        self.failures[name] = (
            f"Watch {name}: the hook {command} failed: {error.rstrip('.')}. It is tried again; "
            f"correct it, or take it out of `{event.event}`, and see `checkpointd hooks list`."
        )
        write = {1: log.info, _WARN_AT_FAILURE: log.warning}.get(failed, log.debug)
        write(
            "hook failed",
            watch=name,
            hook=event.event,
            path=event.path,
            command=command,
            error=error,
            attempt=event.attempts + 1,
            failed_in_a_row=failed,
        )

    async def close(self) -> None:
        """End running hooks; an event that was not handled is tried again after the next start."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await end_hooks()
