"""A stage in a child; once more, alone, where more memory or a fresh interpreter may help."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from checkpointd.dispatch import child_outcome, host_memory, out_of_memory
from checkpointd.dispatch.child_result import Run
from checkpointd.dispatch.limits import limits_for
from checkpointd.dispatch.shared_lock import Turns
from checkpointd.dispatch.zygote import StartError, ZygoteError
from checkpointd.worker.protocol import LOAD, SCAN

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.config import WorkerSettings
    from checkpointd.core.check_result import CheckResult
    from checkpointd.dispatch.zygote_pool import Interpreters
    from checkpointd.worker.protocol import Job, Limits

    Report = Callable[[CheckResult], None]


@dataclass(frozen=True)
class Work:
    """What a child is to do, with which interpreter, and how large its checkpoint is."""

    job: Job
    python: str = ""
    size: int = 0


class Attempts:
    """Runs children within what this machine can spare.

    Args:
        interpreters: where they come from.
        on_exit: told the cause of each child's end, for the metrics.
        share: among how many children memory is divided.
    """

    def __init__(
        self, interpreters: Interpreters, on_exit: Callable[[str], None], share: int
    ) -> None:
        self._interpreters = interpreters
        self._on_exit = on_exit
        self._share = share
        self._turns = Turns()

    def memory_of(self, kind: str, worker: WorkerSettings) -> int:
        """The bytes that a child of this kind may hold that is started now."""
        spare = host_memory.to_spare()
        made = limits_for(kind, 0, worker.memory, 0.0, spare=spare, share=self._share)
        return made.memory_bytes

    def limits(
        self, work: Work, worker: WorkerSettings, seconds: float, *, alone: bool = False
    ) -> Limits:
        """The limits of a child that is started now."""
        return limits_for(
            work.job.stage,
            work.size,
            worker.memory,
            seconds,
            spare=host_memory.to_spare(),
            share=self._share,
            alone=alone,
        )

    async def run(
        self, work: Work, worker: WorkerSettings, deadline: float, on_check: Report
    ) -> Run:
        """Run a stage, twice where that may change what comes of it.

        A crash is tried in a fresh interpreter, a lack of memory with all that is free; both while
        no other child runs, and without a limit that could itself be the cause.

        Args:
            work: what to do.
            worker: the settings.
            deadline: on the monotonic clock; to wait for other children is not counted.
            on_check: told about each check once, when its result is final.
        """
        teller = _Teller(on_check)
        waiting = time.monotonic()
        async with self._turns.together():
            waited = time.monotonic() - waiting
            deadline += waited
            limits = self.limits(work, worker, worker.timeout)
            first = await self._once(work, limits, deadline, teller.first)
        crashed = first.lost or child_outcome.crashed(first)
        if not crashed and not out_of_memory.may_be_short(first):
            teller.release()
            return replace(first, waited=waited)
        if crashed:
            self._interpreters.discard(work.job.stage, work.python)
        waiting = time.monotonic()
        async with self._turns.alone():
            alone = time.monotonic() - waiting
            deadline, waited = deadline + alone, waited + alone
            limits = self.limits(work, worker, worker.timeout, alone=True)
            if not first.held.data:  # nobody sees what a child holds: the kernel's limit stays
                limits = replace(limits, data_bytes=limits.memory_bytes)
            if first.held_too_much and _no_more(limits, first):
                teller.release()
                return replace(first, waited=waited)
            second = await self._once(work, limits, deadline, teller.tell)
        if out_of_memory.is_short(first) and (
            second.timed_out or second.not_started or second.lost
        ):
            teller.release()
            return replace(first, waited=waited)
        return replace(second, waited=waited)

    async def _once(self, work: Work, limits: Limits, deadline: float, on_check: Report) -> Run:
        kills = host_memory.oom_kills()
        try:
            seconds = max(0.1, deadline - time.monotonic())
            run = await self.child(work, limits, seconds, on_check)
        except StartError as error:
            run = Run(not_started=str(error))
        except ZygoteError as error:
            run = Run(lost=True, stderr=str(error))
        run.oom_killed = out_of_memory.killed(run) and host_memory.oom_kills() > kills
        if work.job.stage == LOAD:
            self._interpreters.used()
        self._on_exit(_cause(run))
        return run

    async def child(
        self, work: Work, limits: Limits, seconds: float, on_check: Report | None = None
    ) -> Run:
        """Run one child.

        Raises:
            ZygoteError: there is no interpreter to run it.
        """
        kind = LOAD if work.job.stage == LOAD else SCAN
        zygote = await self._interpreters.get(kind, work.python)
        try:
            run = await zygote.run(work.job, limits, seconds, on_check)
            return replace(run, environment=zygote.environment)
        finally:
            self._interpreters.release(zygote)


class _Teller:
    """Tells each check once: what a second attempt may revise waits until that is over."""

    def __init__(self, on_check: Report) -> None:
        self._on_check = on_check
        self._told: set[str] = set()
        self._waiting: list[CheckResult] = []

    def first(self, check: CheckResult) -> None:
        """Take a result of the first attempt."""
        if self._waiting or out_of_memory.bad(check):
            self._waiting.append(check)
        else:
            self.tell(check)

    def tell(self, check: CheckResult) -> None:
        """Tell a result that is final."""
        if check.name not in self._told:
            self._told.add(check.name)
            self._on_check(check)

    def release(self) -> None:
        """Tell what waits: there is no second attempt."""
        for check in self._waiting:
            self.tell(check)


def _no_more(limits: Limits, run: Run) -> bool:
    """Whether a child may hold hardly more than it was ended for: it had all that already."""
    before = run.limits.memory_bytes if run.limits is not None else 0
    return 4 * limits.memory_bytes <= 5 * before


def _cause(run: Run) -> str:
    table = (
        (run.timed_out, "timeout"),
        (run.refused, "protocol"),
        (run.held_too_much, "out_of_memory"),
        (run.overdrawn, "overdrawn"),
        (run.lost or run.not_started, "lost"),
        (run.signal, "signal"),
        (run.exit_code, "error"),
    )
    return next((cause for applies, cause in table if applies), "ok")
