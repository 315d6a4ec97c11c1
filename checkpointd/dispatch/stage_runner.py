"""Runs a stage in a child; again, alone, where more memory or a fresh interpreter may help."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from checkpointd.core.check_result import Outcome
from checkpointd.dispatch import child_outcome, host_memory, out_of_memory
from checkpointd.dispatch.child_result import ChildResult
from checkpointd.dispatch.early_load import NOTHING, Exchange
from checkpointd.dispatch.limits import fits_beside_scan, limits_for
from checkpointd.dispatch.shared_lock import SharedLock
from checkpointd.dispatch.zygote import ZygoteStartError
from checkpointd.dispatch.zygote_connection import ZygoteError
from checkpointd.worker.protocol import LOAD, SCAN

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from checkpointd.config import WorkerSettings
    from checkpointd.core.check_result import CheckResult
    from checkpointd.dispatch.spare import Spare
    from checkpointd.dispatch.zygote_pool import ZygotePool
    from checkpointd.worker.protocol import ChildLimits, Job

    OnCheck = Callable[[CheckResult], None]
    OnExit = Callable[[str, Mapping[str, int]], None]


@dataclass(frozen=True)
class ChildTask:
    """What a child is to do, in which interpreter, and how large its checkpoint is.

    `exchange`: what it passes on to another child, or gets from it.
    """

    job: Job
    python: str = ""
    size: int = 0
    exchange: Exchange = NOTHING


class StageRunner:
    """Runs children within what this machine can spare.

    Args:
        zygotes: the interpreters that fork them.
        on_exit: called with the cause of each child's end, and its memory by check.
        share: among how many children memory is divided.
    """

    def __init__(self, zygotes: ZygotePool, on_exit: OnExit, share: int) -> None:
        self._zygotes = zygotes
        self._on_exit = on_exit
        self._share = share
        self._lock = SharedLock()

    def memory_of(self, kind: str, worker: WorkerSettings) -> int:
        """Return the bytes that a child of this kind may use if it is started now."""
        spare = host_memory.available_bytes()
        limits = limits_for(kind, 0, worker.memory, 0.0, spare=spare, share=self._share)
        return limits.memory_bytes

    def limits(
        self, task: ChildTask, worker: WorkerSettings, seconds: float, *, alone: bool = False
    ) -> ChildLimits:
        """Return the limits of a child that is started now."""
        return limits_for(
            task.job.stage,
            task.size,
            worker.memory,
            seconds,
            spare=host_memory.available_bytes(),
            share=self._share,
            alone=alone,
            beside=task.job.early,
        )

    def fits_beside_scan(self, size: int, worker: WorkerSettings) -> bool:
        """Whether there is memory to load a checkpoint while it is scanned."""
        spare = host_memory.available_bytes()
        return fits_beside_scan(size, worker.memory, spare, self._share)

    async def run(
        self,
        task: ChildTask,
        worker: WorkerSettings,
        deadline: float,
        on_check: OnCheck,
        begun: Callable[[OnCheck], Awaitable[ChildResult | None]] | None = None,
    ) -> ChildResult:
        """Run a stage, twice where a second attempt may end otherwise.

        After a crash it runs in a fresh interpreter, after a lack of memory with all that is free;
        both while no other child runs, and without a limit that could itself be the cause.

        Args:
            task: what to do.
            worker: the settings.
            deadline: on the monotonic clock; the time spent waiting for other children is added.
            on_check: called with each check once, when its result is final.
            begun: waits for the first attempt where that has begun already; None: it has not.
        """
        results = _FinalResults(on_check)
        first = await begun(results.add_provisional) if begun is not None else None
        if first is None:
            first = await self.first_attempt(task, worker, deadline, results.add_provisional)
        waited = first.waited
        deadline += waited
        crashed = first.lost or child_outcome.is_crash(first)
        if not crashed and not out_of_memory.may_have_run_out(first):
            results.emit_held_back()
            return first
        if task.exchange.end_load is not None:
            await task.exchange.end_load()
        if crashed:
            self._zygotes.discard(task.job.stage, task.python)
        waiting = time.monotonic()
        async with self._lock.exclusive():
            second_wait = time.monotonic() - waiting
            deadline, waited = deadline + second_wait, waited + second_wait
            limits = self.limits(task, worker, worker.timeout, alone=True)
            if not first.peak.data:  # its memory cannot be seen: the kernel's limit stays
                limits = replace(limits, data_bytes=limits.memory_bytes)
            if first.memory_exceeded and _has_no_more(limits, first):
                results.emit_held_back()
                return replace(first, waited=waited)
            second = await self._attempt(task, limits, deadline, results.emit)
        if out_of_memory.ran_out(first) and (second.timed_out or second.not_started or second.lost):
            results.emit_held_back()
            return replace(first, waited=waited)
        return replace(second, waited=waited)

    async def first_attempt(
        self, task: ChildTask, worker: WorkerSettings, deadline: float, on_check: OnCheck
    ) -> ChildResult:
        """Run a stage once, beside other children; see `run`."""
        waiting = time.monotonic()
        async with self._lock.shared():
            waited = time.monotonic() - waiting
            deadline += waited
            if task.exchange.on_start is not None:
                task.exchange.on_start(deadline)
            limits = self.limits(task, worker, worker.timeout)
            result = await self._attempt(task, limits, deadline, on_check)
        return replace(result, waited=waited)

    async def run_in_spare(
        self, spare: Spare, task: ChildTask, worker: WorkerSettings, deadline: float
    ) -> ChildResult | None:
        """Run the load stage in a spare.

        Args:
            spare: a child that has warmed up, for one checkpoint.
            task: what to do.
            worker: the settings.
            deadline: on the monotonic clock.

        Returns:
            What it did; None where a new child has to load the checkpoint itself: everything but
            a load without any fault, and the end of its time.
        """
        waiting = time.monotonic()
        async with self._lock.shared():
            waited = time.monotonic() - waiting
            limits = self.limits(task, worker, worker.timeout)
            seconds = max(0.1, deadline + waited - time.monotonic())
            result = await spare.run(task.job, limits, seconds, task.exchange)
        if result is None:
            return None
        self._zygotes.mark_used()
        self._on_exit(_cause(result), result.peak.by_check)
        spare.found_fault = has_fault(result)
        clean = result.finished is not None and not spare.found_fault
        return replace(result, waited=waited) if clean or result.timed_out else None

    async def _attempt(
        self, task: ChildTask, limits: ChildLimits, deadline: float, on_check: OnCheck
    ) -> ChildResult:
        kills = host_memory.oom_kills()
        try:
            seconds = max(0.1, deadline - time.monotonic())
            result = await self.child(task, limits, seconds, on_check)
        except ZygoteStartError as error:
            result = ChildResult(not_started=str(error))
        except ZygoteError as error:
            result = ChildResult(lost=True, stderr=str(error))
        result.oom_killed = (
            out_of_memory.killed_by_other(result) and host_memory.oom_kills() > kills
        )
        if task.job.stage == LOAD:
            self._zygotes.mark_used()
        self._on_exit(_cause(result), result.peak.by_check)
        return result

    async def child(
        self, task: ChildTask, limits: ChildLimits, seconds: float, on_check: OnCheck | None = None
    ) -> ChildResult:
        """Run one child.

        Raises:
            ZygoteError: there is no interpreter to run it.
        """
        kind = LOAD if task.job.stage == LOAD else SCAN
        zygote = await self._zygotes.get(kind, task.python)
        try:
            result = await zygote.run(task.job, limits, seconds, on_check, task.exchange)
            return replace(result, environment=zygote.environment)
        finally:
            self._zygotes.release(zygote)


class _FinalResults:
    """Emits each check once; holds back what a second attempt may revise."""

    def __init__(self, on_check: OnCheck) -> None:
        self._on_check = on_check
        self._emitted: set[str] = set()
        self._held_back: list[CheckResult] = []

    def add_provisional(self, check: CheckResult) -> None:
        """Take a result of the first attempt."""
        if self._held_back or out_of_memory.memory_could_help(check):
            self._held_back.append(check)
        else:
            self.emit(check)

    def emit(self, check: CheckResult) -> None:
        """Emit a result that is final."""
        if check.name not in self._emitted:
            self._emitted.add(check.name)
            self._on_check(check)

    def emit_held_back(self) -> None:
        """Emit the results that were held back: there is no second attempt."""
        for check in self._held_back:
            self.emit(check)


def has_fault(result: ChildResult) -> bool:
    """Whether any check found a fault or could not be done."""
    return any(check.outcome in (Outcome.FAIL, Outcome.ERROR) for check in result.checks)


def _has_no_more(limits: ChildLimits, result: ChildResult) -> bool:
    """Whether a second child gets hardly more memory than the first was killed for using."""
    before = result.limits.memory_bytes if result.limits is not None else 0
    return 4 * limits.memory_bytes <= 5 * before


def _cause(result: ChildResult) -> str:
    table = (
        (result.timed_out, "timeout"),
        (result.protocol_error, "protocol"),
        (result.memory_exceeded, "out_of_memory"),
        (result.quota_exceeded, "quota_exceeded"),
        (result.not_started, "not_started"),
        (result.lost, "lost"),
        (result.signal, "signal"),
        (result.exit_code, "error"),
    )
    return next((cause for applies, cause in table if applies), "ok")
