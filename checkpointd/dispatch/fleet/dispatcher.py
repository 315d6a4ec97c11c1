"""Verification by the workers of a Dask cluster; the decisions are made here, in the daemon.

A task is delivered at least once: one whose worker is lost is tried on another host, and what
arrives from the first one afterwards is dropped. After two lost workers the checkpoint itself is
the likely cause, and it is inconclusive. While the scheduler is down, work waits.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import structlog

from checkpointd.core.text import printable
from checkpointd.dispatch.fleet.link import Link
from checkpointd.dispatch.fleet.messages import Member, encode_task, member_of
from checkpointd.dispatch.fleet.outcomes import (
    Elsewhere,
    Lost,
    depends_on_host,
    given_up,
    judge,
)
from checkpointd.dispatch.fleet.placement import Tried
from checkpointd.dispatch.fleet.repeated_faults import CANNOT_VERIFY, OTHER_MOUNT, RepeatedFaults
from checkpointd.dispatch.fleet.roster import Roster
from checkpointd.dispatch.local import LocalDispatcher

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from checkpointd.config import DispatchSettings, WorkerSettings
    from checkpointd.core.check_result import CheckResult
    from checkpointd.core.format_specs import Format
    from checkpointd.core.request import Answer, Request
    from checkpointd.core.verify_settings import VerifySettings

_TRIES = 2
_SILENT_SECONDS = 20.0
"""A worker that the scheduler has not heard of for so long is taken for lost."""

_LOST = "The worker was lost."
_LATE_SECONDS = 120.0
_LOOK_SECONDS = 1.0

log = structlog.get_logger()


@dataclass
class Attempt:
    """A task that was sent to a worker."""

    member: Member
    result: asyncio.Future[str | Lost]
    deadline: float


@dataclass
class Engine:
    """What there is to know about the cluster."""

    message: str = "It is being connected to."
    reachable: bool = False
    seen: dict[str, tuple[Any, float]] = field(default_factory=dict)


class FleetDispatcher:
    """Hands each request to one worker of the fleet; see `Dispatcher`.

    Args:
        settings: where the scheduler is.
        worker: of this host, for what is inspected here.
        scratch: the same.
        on_change: called when more may be handed out.
        on_lost: called for each try that ended without an answer.
    """

    def __init__(
        self,
        settings: DispatchSettings,
        worker: WorkerSettings,
        scratch: Path,
        on_change: Callable[[], None] = lambda: None,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self._scheduler = settings.scheduler or ""
        self._local = LocalDispatcher(worker, scratch)
        self._roster = Roster()
        self._attempts: dict[int, Attempt] = {}
        self._number = 0
        self._engine = Engine()
        self._mismatches = RepeatedFaults(OTHER_MOUNT)
        self._failures = RepeatedFaults(CANNOT_VERIFY)
        self._on_change = on_change
        self._on_lost = on_lost
        tls = settings.tls
        files = None if tls is None else {key: str(path) for key, path in tls}
        self._link = Link({"scheduler": self._scheduler, "tls": files}, self._take, self._down)
        self._watchdog: asyncio.Task[None] | None = None

    @property
    def capacity(self) -> int:
        """How many checkpoints may be handed out at a time; 0 while the scheduler is down."""
        return self._roster.capacity

    def start(self) -> None:
        """Connect to the scheduler; again does nothing."""
        self._link.start()
        if self._watchdog is None:
            self._watchdog = asyncio.create_task(self._watch_attempts())

    async def verify(
        self, request: Request, on_check: Callable[[CheckResult], None] | None = None
    ) -> Answer:
        """Verify one generation; see `Dispatcher`."""
        self.start()
        answer = await self._verify(request)
        if on_check is not None and answer.report is not None:
            for check in answer.report.checks:
                on_check(check)
        return answer

    async def _verify(self, request: Request) -> Answer:
        task = encode_task(request)
        lost, elsewhere = Tried(), Tried()
        reasons: list[str] = []
        kept: Answer | None = None
        failed: tuple[str, str] | None = None
        while True:
            tried = Tried(lost.members | elsewhere.members, lost.hosts | elsewhere.hosts)
            member, memory = await self._roster.place(request.generation.size_bytes, tried)
            began = time.monotonic()
            try:
                result = await self._attempt(member, memory, task)
            finally:
                self._roster.free(member, memory)
                self._on_change()
            outcome = (
                result
                if isinstance(result, Lost)
                else judge(request, member, result, time.monotonic() - began)
            )
            if isinstance(outcome, Lost):
                log.warning(
                    "no answer from a worker",
                    path=request.checkpoint.path,
                    host=member.host,
                    message=outcome.message,
                )
                if outcome.counts:
                    lost.add(member)
                    reasons.append(f"{member.host}: {outcome.message}")
                    if len(reasons) >= _TRIES:
                        return given_up(request, outcome.word, reasons)
                continue
            if isinstance(outcome, Elsewhere):
                self._mismatches.add(member.host, request, outcome.message)
                answer = outcome.answer
            else:
                self._mismatches.clear(member.host)
                answer = outcome
                if not depends_on_host(answer):
                    self._failures.clear(member.host)
                    if failed is not None:
                        self._failures.add(failed[0], request, failed[1])
                    return answer
                if failed is None and answer.report is not None:
                    failed = member.host, f"{answer.report.reason}: {answer.report.message}"
            kept = kept if kept is not None and kept.report is not None else answer
            if elsewhere.members or not self._has_other_host(member):
                return kept
            log.info("another host is asked", path=request.checkpoint.path, host=member.host)
            elsewhere.add(member)

    async def _attempt(self, member: Member, memory: int, task: str) -> str | Lost:
        """Send a task to a worker, and wait for what becomes of it."""
        self._number += 1
        number = self._number
        limit = (member.slots + 1) * member.timeout + _LATE_SECONDS
        attempt = Attempt(
            member, asyncio.get_running_loop().create_future(), time.monotonic() + limit
        )
        self._attempts[number] = attempt
        self._link.send({"submit": number, "member": member.id, "memory": memory, "task": task})
        try:
            result = await attempt.result
        finally:
            if self._attempts.pop(number, None) is not None and not _is_answer(attempt):
                self._link.send({"cancel": number})
        return result

    def _has_other_host(self, member: Member) -> bool:
        return any(host != member.host for host in self._roster.hosts)

    def _take(self, message: dict[str, Any]) -> None:
        """Take a message of the process that talks to the cluster."""
        if "members" in message:
            self._note_members(message["members"])
        elif "down" in message:
            self._down(message["down"])
        else:
            attempt = self._attempts.get(next(iter(message.values())))
            if attempt is None or attempt.result.done():
                return  # of a try that was given up: another one answers, or has
            if "answer" in message:
                attempt.result.set_result(message["payload"])
            elif "returned" in message:
                attempt.result.set_result(Lost("Its task was cancelled.", counts=False))
            elif message["killed"]:
                self._lose(attempt, _LOST)
            else:
                self._lose(attempt, printable(message["message"], 500), "environment")

    def _note_members(self, rows: list[dict[str, Any]]) -> None:
        """Take who is there; a worker that the scheduler has not heard of lately is not."""
        now, members, seen = time.monotonic(), [], {}
        for row in rows:
            member = member_of(row["announced"])
            if member is None:
                continue
            last, since = self._engine.seen.get(member.id, (None, now))
            seen[member.id] = (row["seen"], since if row["seen"] == last else now)
            if now - seen[member.id][1] < _SILENT_SECONDS:
                members.append(member)
        self._engine.seen = seen
        if not self._engine.reachable:
            log.info("the scheduler answers", scheduler=self._scheduler, workers=len(members))
        self._engine.reachable, self._engine.message = True, ""
        gone = self._roster.replace(members)
        for attempt in self._attempts.values():
            if attempt.member.id in gone and not attempt.result.done():
                is_silent = attempt.member.id in seen
                self._lose(attempt, "The worker does not answer." if is_silent else _LOST)
        self._on_change()

    def _down(self, message: str) -> None:
        """The scheduler cannot be reached: all that was handed out will be handed out again."""
        if self._engine.reachable or self._engine.message != message:
            log.warning("the scheduler does not answer", message=message)
        self._engine = Engine(message)
        self._roster.replace(())
        for attempt in self._attempts.values():
            if not attempt.result.done():
                attempt.result.set_result(Lost("The scheduler was lost.", counts=False))

    def _lose(self, attempt: Attempt, message: str, word: str = "workers_lost") -> None:
        attempt.result.set_result(Lost(message, word=word))
        self._on_lost()

    async def _watch_attempts(self) -> None:
        """Give up tries whose worker lives on and does not answer."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            now = time.monotonic()
            for attempt in self._attempts.values():
                if now > attempt.deadline and not attempt.result.done():
                    self._lose(attempt, "There was no answer in time.")

    async def inspect(self, path: str, fmt: Format) -> dict[str, Any]:
        """Describe what a checkpoint holds, on this host; see `Dispatcher`."""
        return await self._local.inspect(path, fmt)

    async def warm(self, settings: VerifySettings) -> None:
        """Connect to the scheduler: the interpreters are those of the workers."""
        del settings
        self.start()

    def renew(self, python: str) -> None:
        """Do nothing: each worker has interpreters of its own."""

    def forget(self, used: Collection[str]) -> None:
        """Do nothing, as `renew`."""

    def configure(self, worker: WorkerSettings) -> None:
        """Use other settings for what is inspected on this host."""
        self._local.configure(worker)

    async def close(self) -> None:
        """End the process that talks to the cluster."""
        if self._watchdog is not None:
            self._watchdog.cancel()
        await self._link.close()
        await self._local.close()

    def status(self) -> list[dict[str, Any]]:
        """Return no process: they are on the other hosts."""
        return []

    def engine(self) -> dict[str, Any]:
        """Return what there is to know about the cluster; see `Dispatcher`."""
        members = self._roster.members.values()
        return {
            "name": "dask",
            "scheduler": self._scheduler,
            "reachable": self._engine.reachable,
            "workers": len(members),
            "hosts": sorted(self._roster.hosts),
            "slots": sum(member.slots for member in members),
            "message": self._engine.message,
            "problems": self._problems(),
        }

    def _problems(self) -> list[str]:
        if not self._engine.reachable:
            return [f"No checkpoint is verified: {self._engine.message}"]
        if not self._roster.members:
            where = f"no worker of checkpointd is connected to {self._scheduler}"
            start = "Start checkpointd-worker.service on a host."
            return [f"No checkpoint is verified: {where}. {start}"]
        hosts = self._roster.hosts
        return self._mismatches.problems(hosts) + self._failures.problems(hosts)


def _is_answer(attempt: Attempt) -> bool:
    result = attempt.result
    return result.done() and not result.cancelled() and isinstance(result.result(), str)
