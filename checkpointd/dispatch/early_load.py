"""A load that begins while the weights are still being scanned.

It begins once `structure` and `safety` have passed. Nothing that it reports is used before the scan
has passed, too, and it is ended as soon as a check of the scan fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkpointd.core.suite import safety_first
from checkpointd.dispatch.child_outcome import blocking_check
from checkpointd.worker import protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence

    from checkpointd.core.check_result import CheckResult
    from checkpointd.core.report import Facts
    from checkpointd.dispatch.child_result import ChildResult

    OnCheck = Callable[[CheckResult], None]

SMALLEST = 64 << 20
"""Bytes of a checkpoint from which on its load begins early: a smaller one is scanned at once."""


@dataclass(frozen=True)
class Exchange:
    """What a scan and the load that begins during it pass on, beside their jobs and answers.

    Args:
        on_start: called with the deadline of a scan that starts.
        on_facts: called with what the scan knows before it reads the weights.
        facts: those that the scan ends with, for the load.
        end_load: ends the load and waits for its end, before the scan runs a second time.
    """

    on_start: Callable[[float], None] | None = None
    on_facts: Callable[[Facts], None] | None = None
    facts: Awaitable[Facts] | None = None
    end_load: Callable[[], Awaitable[None]] | None = None


NOTHING = Exchange()
"""What a child passes on where scan and load follow each other."""


@contextlib.asynccontextmanager
async def sending(exchange: Exchange, writer: asyncio.StreamWriter) -> AsyncIterator[None]:
    """Send the facts that the scan ends with to a load, as soon as they are known."""
    if exchange.facts is None:
        yield
        return
    task = asyncio.ensure_future(_send(exchange.facts, writer))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _send(facts: Awaitable[Facts], writer: asyncio.StreamWriter) -> None:
    writer.write(protocol.encode(await facts))


@dataclass(frozen=True)
class Scanned:
    """What is known when a load begins early.

    Args:
        facts: what the scan knows before it reads the weights.
        checks: those that it has finished.
        deadline: the scan's, on the monotonic clock.
        exchange: passes on the facts that the scan ends with.
        on_check: takes the results of the load, and holds them back until the scan has passed.
    """

    facts: Facts
    checks: Sequence[CheckResult]
    deadline: float
    exchange: Exchange
    on_check: OnCheck


@dataclass(frozen=True)
class Plan:
    """How a stage runs.

    Args:
        names: its checks, in the order in which they run.
        on_check: takes their results.
        exchange: what the scan passes on.
        begun: waits for a load that has begun already.
        finish: called with the results when the stage has ended, to sort them.
    """

    names: tuple[str, ...]
    on_check: OnCheck
    exchange: Exchange = NOTHING
    begun: Callable[[OnCheck], Awaitable[ChildResult | None]] | None = None
    finish: Callable[[list[CheckResult]], None] = lambda _checks: None


def plan_of(
    early: EarlyLoad | None,
    stage: str,
    names: tuple[str, ...],
    facts: Facts,
    on_check: OnCheck,
) -> Plan:
    """Return how a stage runs, where its load may begin early and where it may not.

    Args:
        early: the load; None where it has to wait.
        stage: SCAN or LOAD.
        names: the checks of the stage.
        facts: those that the scan ended with.
        on_check: called with each check, in the order of the suite.
    """
    if early is None:
        return Plan(names, on_check)
    return early.plan(stage, names, facts, on_check)


class EarlyLoad:
    """The load of one checkpoint, which begins during its scan.

    Args:
        order: the checks of the scan, in the order of the suite.
        on_check: called with each check of the scan, in that order.
        start: returns what runs the load, given what the scan knows; None where there is nothing
            to load.
    """

    def __init__(
        self,
        order: Sequence[str],
        on_check: OnCheck,
        start: Callable[[Scanned], Coroutine[Any, Any, ChildResult | None] | None],
    ) -> None:
        self._order = tuple(order)
        self._left = list(order)
        self._on_check = on_check
        self._start = start
        self._facts: Facts | None = None
        self._deadline = 0.0
        self._ended = False
        self._scanned: dict[str, CheckResult] = {}
        self._final: asyncio.Future[Facts] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[ChildResult | None] | None = None
        self._held_back: list[CheckResult] = []
        self._emit: OnCheck | None = None

    @property
    def exchange(self) -> Exchange:
        """What the scan passes on."""
        return Exchange(self._take_deadline, self._take_facts, end_load=self.end)

    def scanned(self, check: CheckResult) -> None:
        """Take a result of the scan: after `safety` the load begins, after a failure it ends."""
        self._scanned[check.name] = check
        while self._left and self._left[0] in self._scanned:
            self._on_check(self._scanned[self._left.pop(0)])
        done = list(self._scanned.values())
        if blocking_check(done):
            if self._task is not None:
                self._task.cancel()
        elif check.name == "safety" and "structure" in self._scanned:
            self._begin(done)

    def _begin(self, done: list[CheckResult]) -> None:
        if self._facts is None or self._ended:
            return
        exchange = Exchange(facts=self._final)
        known = Scanned(self._facts, done, self._deadline, exchange, self._loaded)
        work = self._start(known)
        self._task = None if work is None else asyncio.create_task(work)

    def _take_deadline(self, deadline: float) -> None:
        self._deadline = deadline

    def _take_facts(self, facts: Facts) -> None:
        self._facts = facts

    def _loaded(self, check: CheckResult) -> None:
        if self._emit is None:
            self._held_back.append(check)
        else:
            self._emit(check)

    def finish_scan(self, checks: list[CheckResult]) -> None:
        """Emit the results that wait for one which never came; sort all as the suite does."""
        checks.sort(key=lambda check: self._order.index(check.name))
        for name in self._left:
            if name in self._scanned:
                self._on_check(self._scanned[name])
        self._left = []

    async def result(self, facts: Facts, on_check: OnCheck) -> ChildResult | None:
        """Return what came of the load, once the scan has passed.

        None if it did not begin, or came to nothing in a spare.

        Args:
            facts: those that the scan ended with.
            on_check: called with each result of the load.
        """
        if self._task is None or self._task.cancelled():
            return None
        self._final.set_result(facts)
        self._emit = on_check
        for check in self._held_back:
            on_check(check)
        return await self._task

    def plan(self, stage: str, names: tuple[str, ...], facts: Facts, on_check: OnCheck) -> Plan:
        """Return how a stage runs; see `plan_of`."""
        if stage == protocol.SCAN:
            return Plan(safety_first(names), self.scanned, self.exchange, finish=self.finish_scan)
        return Plan(names, on_check, begun=functools.partial(self.result, facts))

    async def end(self) -> None:
        """End the load, if it runs, and wait for its end."""
        self._ended = True
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._final.cancel()
