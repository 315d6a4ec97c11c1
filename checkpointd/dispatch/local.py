"""Verification on this host: a scan zygote, a load zygote per interpreter, bounded concurrency."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from checkpointd.core.checkpoint import Checkpoint, Generation
from checkpointd.core.encode import to_json
from checkpointd.core.remove_tree import remove_tree
from checkpointd.core.report import Facts
from checkpointd.core.request import Answer, End, Request
from checkpointd.core.suite import checks_of
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.dispatch import child_outcome, early_load, out_of_memory
from checkpointd.dispatch.early_load import NOTHING, EarlyLoad
from checkpointd.dispatch.host_cores import usable_threads
from checkpointd.dispatch.private_copy import answer_for_original, request_for_copy
from checkpointd.dispatch.reports import make_report, merged_facts
from checkpointd.dispatch.spare_pool import SparePool
from checkpointd.dispatch.stage_runner import ChildTask, StageRunner, has_fault
from checkpointd.dispatch.zygote_connection import ZygoteError
from checkpointd.dispatch.zygote_pool import ZygotePool
from checkpointd.worker.protocol import COPY, DIFF, DIGEST, INSPECT, LOAD, SCAN, Job, SandboxState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
    from pathlib import Path

    from checkpointd.config import WorkerSettings
    from checkpointd.core.check_result import CheckResult
    from checkpointd.core.format_specs import Format
    from checkpointd.dispatch.child_result import ChildResult
    from checkpointd.dispatch.early_load import Exchange, Plan, Scanned
    from checkpointd.dispatch.spare import Spare
    from checkpointd.dispatch.stage_runner import OnExit

_INSPECT_SECONDS = 120.0


class LocalDispatcher:
    """Runs each verification in fresh children on this host.

    Args:
        worker: limits and concurrency.
        scratch: a directory for the dispatcher alone; the caller removes it.
        on_exit: called with the cause of each child's end, and its memory by check.
    """

    def __init__(
        self,
        worker: WorkerSettings,
        scratch: Path,
        on_exit: OnExit | None = None,
    ) -> None:
        self._worker = worker
        self._scratch = scratch
        self._slots = asyncio.Semaphore(worker.concurrency)
        self._threads = usable_threads(worker.threads)
        self.zygotes = ZygotePool(scratch, worker.idle_exit, self._threads)
        self._spares = SparePool(self.zygotes, worker)
        self._stages = StageRunner(
            self.zygotes, on_exit or (lambda _cause, _memory: None), worker.concurrency
        )

    async def warm(self, settings: VerifySettings) -> None:
        """Start both interpreters that these settings need; `verify` reports a failure."""
        skipped = set(checks_of(LOAD, settings)) <= set(settings.skip)
        kinds = [(SCAN, "")] if skipped else [(SCAN, ""), (LOAD, settings.python)]
        for kind, python in kinds:
            await self.zygotes.warm(kind, python)
        if not skipped:
            self._spares.prepare(settings)

    async def verify(
        self, request: Request, on_check: Callable[[CheckResult], None] | None = None
    ) -> Answer:
        """Verify one generation; see `Dispatcher`."""
        emit = on_check or (lambda _result: None)
        async with self._slots:
            spare = self._spares.take(request, self._copy)
            try:
                if request.copied:
                    return await self._verify_copy(request, emit)
                answer = await self._verify(request, emit, spare)
                return answer_for_original(answer, request, spare.path) if spare else answer
            finally:
                self._spares.done(spare)

    def _copy(self, job: Job, size: int) -> Awaitable[ChildResult]:
        return self._child(ChildTask(job, "", size))

    async def _verify_copy(
        self, request: Request, on_check: Callable[[CheckResult], None]
    ) -> Answer:
        """Verify a private copy of a checkpoint that changes too often to be read."""
        try:
            self._scratch.mkdir(parents=True, exist_ok=True)
            directory = tempfile.mkdtemp(prefix="copy-", dir=self._scratch)
        except OSError as error:
            return Answer(End.SUPERSEDED, f"It could not be copied: {error.strerror}.")
        try:
            job = self._job(COPY, request, target=directory)
            try:
                result = await self._child(ChildTask(job, "", request.generation.size_bytes))
            except ZygoteError as error:
                return Answer(End.SUPERSEDED, f"It could not be copied: {error}.")
            if result.quota_exceeded:
                return Answer(End.SUPERSEDED, f"It could not be copied: {result.quota_exceeded}.")
            path = os.path.join(directory, os.path.basename(request.checkpoint.path))
            private = request_for_copy(request, path, result.inspection)
            if isinstance(private, Answer):
                return private
            return answer_for_original(await self._verify(private, on_check), request, path)
        finally:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(remove_tree, directory)

    async def _verify(
        self,
        request: Request,
        on_check: Callable[[CheckResult], None],
        spare: Spare | None = None,
    ) -> Answer:
        early = self._early_load(request, on_check, spare)
        try:
            return await self._run_stages(request, on_check, early, spare)
        finally:
            if early is not None:
                await early.end()

    def _early_load(
        self, request: Request, on_check: Callable[[CheckResult], None], spare: Spare | None
    ) -> EarlyLoad | None:
        """Return a load that may begin while the weights are scanned; None where it has to wait."""
        settings, size = request.settings, request.generation.size_bytes
        names = checks_of(LOAD, settings)
        is_worth = spare is not None or (size >= early_load.SMALLEST and self._threads > 1)
        if not is_worth or set(names) <= set(settings.skip):
            return None
        if not self._stages.fits_beside_scan(size, self._worker):
            return None

        def start(known: Scanned) -> Coroutine[Any, Any, ChildResult | None] | None:
            task = self._task(LOAD, request, known.facts, known.checks, names, known.exchange)
            fits = self._stages.fits_beside_scan(task.size, self._worker)
            if not fits or child_outcome.nothing_to_load(names, known.facts, settings):
                return None
            if spare is not None:
                return self._stages.run_in_spare(spare, task, self._worker, known.deadline)
            return self._stages.first_attempt(task, self._worker, known.deadline, known.on_check)

        return EarlyLoad(checks_of(SCAN, settings), on_check, start)

    async def _run_stages(
        self,
        request: Request,
        on_check: Callable[[CheckResult], None],
        early: EarlyLoad | None,
        spare: Spare | None,
    ) -> Answer:
        started = time.monotonic()
        deadline = started + self._worker.timeout
        worker, skip = self._worker, request.settings.skip
        facts = Facts(format=request.checkpoint.format)
        checks: list[CheckResult] = []
        sandbox: SandboxState | None = None
        stderr = timed_out_in = ""
        for stage in (SCAN, LOAD):
            blocked = child_outcome.blocking_check(checks) or timed_out_in
            names = checks_of(stage, request.settings)
            if blocked or set(names) <= set(skip):
                checks += child_outcome.not_run(names, blocked, ()) if blocked else ()
                continue
            if stage == LOAD and (
                skips := child_outcome.nothing_to_load(names, facts, request.settings)
            ):
                for one in skips:
                    on_check(one)
                checks += skips
                continue
            plan = early_load.plan_of(early, stage, names, facts, on_check)
            names = plan.names
            task = self._task(stage, request, facts, checks, names, plan.exchange)
            result = await self._run(task, worker, deadline, plan, spare)
            deadline += result.waited
            sandbox = result.sandbox or sandbox
            stderr = result.stderr or stderr
            checks += [
                out_of_memory.with_memory_details(check, result, worker.memory)
                for check in result.checks
            ]
            finished = result.finished
            if finished is not None and finished.end is not End.DONE:
                return Answer(finished.end, finished.message)
            ended_in = child_outcome.early_exit_result(
                names, result, skip, worker.timeout, recorded=facts.has_golden
            )
            if ended_in is not None:
                ended_in = out_of_memory.with_memory_details(ended_in, result, worker.memory)
                lost = child_outcome.lost_checks(names, ended_in, checks, skip)
                checks += (ended_in, *lost)
                plan.on_check(ended_in)
                timed_out_in = ended_in.name if result.timed_out else ""
                reported = result.facts
            else:
                reported = finished.facts if finished is not None else None
            plan.finish(checks)
            if reported is not None:
                facts = merged_facts(stage, facts, reported, request, result)
        if sandbox is not None:
            facts = replace(facts, environment={**facts.environment, "sandbox": sandbox.summary})
        report = make_report(request, facts, checks, time.monotonic() - started, stderr)
        return Answer(End.DONE, "", report)

    def _task(
        self,
        stage: str,
        request: Request,
        facts: Facts,
        checks: Sequence[CheckResult],
        names: tuple[str, ...],
        exchange: Exchange,
    ) -> ChildTask:
        known = to_json(facts) if stage == LOAD else None
        job = self._job(stage, request, facts=known, checks=names, early=exchange is not NOTHING)
        size = child_outcome.memory_needed(checks, request.generation.size_bytes)
        return ChildTask(job, request.settings.python if stage == LOAD else "", size, exchange)

    async def _run(
        self,
        task: ChildTask,
        worker: WorkerSettings,
        deadline: float,
        plan: Plan,
        spare: Spare | None,
    ) -> ChildResult:
        """Run a stage; the load stage in a spare where there is one and nothing is wrong there."""
        if spare is None or task.job.stage != LOAD:
            return await self._stages.run(task, worker, deadline, plan.on_check, plan.begun)
        result = await plan.begun(plan.on_check) if plan.begun is not None else None
        if result is None:
            result = await self._stages.run_in_spare(spare, task, worker, deadline)
        if result is None:
            result = await self._stages.run(task, worker, deadline, plan.on_check)
            if spare.found_fault and not has_fault(result):
                self._spares.does_not_suit(spare)
            return result
        for check in result.checks:
            plan.on_check(check)
        return result

    def _job(self, stage: str, request: Request, **more: Any) -> Job:
        enforce = self._worker.sandbox == "enforce"
        return Job(stage, "", to_json(request), enforce=enforce, **more)

    async def _child(self, work: ChildTask, seconds: float = 0.0) -> ChildResult:
        seconds = seconds or self._worker.timeout
        limits = self._stages.limits(work, self._worker, seconds)
        return await self._stages.child(work, limits, seconds)

    async def inspect(self, path: str, fmt: Format) -> dict[str, Any]:
        """Describe what a checkpoint holds; see `Dispatcher`."""
        request = Request(Checkpoint(path, fmt), Generation(()), VerifySettings())
        return await self._described(ChildTask(self._job(INSPECT, request)), _INSPECT_SECONDS)

    async def diff(
        self, first: Request, second: Request, *, weights_only: bool = False
    ) -> dict[str, Any]:
        """Compare the tensors and the configuration of two checkpoints.

        Returns:
            What `checkpointd.verify.scan.diff.comparison.diff` does, or `{"error": message}`.
        """
        job = self._job(DIFF, first, other=to_json(second), weights_only=weights_only)
        size = first.generation.size_bytes + second.generation.size_bytes
        return await self._described(ChildTask(job, "", size), self._worker.timeout)

    async def digest(self, request: Request) -> dict[str, Any]:
        """Take the SHA-256 of every file of one generation.

        Returns:
            What `checkpointd.verify.scan.attested.digest` does, or `{"error": message}`.
        """
        task = ChildTask(self._job(DIGEST, request), "", request.generation.size_bytes)
        return await self._described(task, self._worker.timeout)

    async def _described(self, task: ChildTask, seconds: float) -> dict[str, Any]:
        try:
            run = await self._child(task, seconds)
        except ZygoteError as error:
            return {"error": str(error)}
        if run.inspection is not None:
            return run.inspection
        last = run.stderr.splitlines()[-1] if run.stderr else f"exit {run.exit_code}"
        return {
            "error": f"It could not be read: {run.protocol_error or run.quota_exceeded or last}."
        }

    def forget(self, used: Collection[str]) -> None:
        """Forget the interpreters that no settings name any more; see `ZygotePool`."""
        self.zygotes.forget(used)

    def renew(self, python: str) -> None:
        """Load with a fresh interpreter from now on; see `Dispatcher`."""
        self.zygotes.renew(python)

    async def close(self) -> None:
        """End every zygote, and with them their children."""
        await self._spares.close()
        await self.zygotes.close()

    @property
    def capacity(self) -> int:
        """As many as `concurrency`; see `Dispatcher`."""
        return self._worker.concurrency

    def engine(self) -> dict[str, Any]:
        """Return that this host verifies; see `Dispatcher`."""
        return {"name": "local"}

    def configure(self, worker: WorkerSettings) -> None:
        """Use other settings from now on; `concurrency`, `threads`, `idle_exit` stay."""
        self._worker = worker
        self._spares.configure(worker)

    def status(self) -> list[dict[str, Any]]:
        """Return the processes behind it; see `Dispatcher`."""
        return [
            {
                **row,
                "memory_bytes": self._stages.memory_of(row["kind"], self._worker),
                "spares": self._spares.ready(row["pid"]),
            }
            for row in self.zygotes.status()
        ]
