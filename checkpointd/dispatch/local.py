"""Verification on this host: a scan zygote, a load zygote per interpreter, bounded concurrency."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from checkpointd.core.check_result import CheckResult, Outcome
from checkpointd.core.checkpoint import Checkpoint, Generation
from checkpointd.core.encode import to_json
from checkpointd.core.report import Facts, Report
from checkpointd.core.request import Answer, End, Request
from checkpointd.core.suite import checks_of
from checkpointd.core.verdict import decide
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.dispatch import answer_validator, child_outcome, out_of_memory
from checkpointd.dispatch.private_copy import answer_for_original, request_for_copy
from checkpointd.dispatch.stage_runner import ChildTask, StageRunner
from checkpointd.dispatch.zygote import ZygoteError
from checkpointd.dispatch.zygote_pool import ZygotePool
from checkpointd.removal import remove_tree
from checkpointd.worker.protocol import COPY, INSPECT, LOAD, SCAN, Job, SandboxState

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from checkpointd.config import WorkerSettings
    from checkpointd.core.format_specs import Format
    from checkpointd.dispatch.child_result import ChildResult

_INSPECT_SECONDS = 120.0


class LocalDispatcher:
    """Runs each verification in fresh children on this host.

    Args:
        worker: limits and concurrency.
        scratch: a directory of our own; emptied by whoever made it.
        on_exit: told the cause of each child's end, for the metrics.
    """

    def __init__(
        self,
        worker: WorkerSettings,
        scratch: Path,
        on_exit: Callable[[str], None] | None = None,
    ) -> None:
        self._worker = worker
        self._scratch = scratch
        self._slots = asyncio.Semaphore(worker.concurrency)
        self.interpreters = ZygotePool(scratch, worker.idle_exit)
        self._attempts = StageRunner(
            self.interpreters, on_exit or (lambda _cause: None), worker.concurrency
        )

    async def warm(self, settings: VerifySettings) -> None:
        """Start both interpreters that these settings need; a failure is told by `verify`."""
        skipped = set(checks_of(LOAD, settings)) <= set(settings.skip)
        kinds = [(SCAN, "")] if skipped else [(SCAN, ""), (LOAD, settings.python)]
        for kind, python in kinds:
            await self.interpreters.warm(kind, python)

    async def verify(
        self, request: Request, on_check: Callable[[CheckResult], None] | None = None
    ) -> Answer:
        """Verify one generation; see `Dispatcher`."""
        tell = on_check or (lambda _result: None)
        async with self._slots:
            if request.copied:
                return await self._verify_copy(request, tell)
            return await self._verify(request, tell)

    async def _verify_copy(
        self, request: Request, on_check: Callable[[CheckResult], None]
    ) -> Answer:
        """Verify a private copy of a checkpoint that does not hold still."""
        try:
            self._scratch.mkdir(parents=True, exist_ok=True)
            home = tempfile.mkdtemp(prefix="copy-", dir=self._scratch)
        except OSError as error:
            return Answer(End.SUPERSEDED, f"It could not be copied: {error.strerror}.")
        try:
            job = self._job(COPY, request, target=home)
            try:
                run = await self._child(ChildTask(job, "", request.generation.size_bytes))
            except ZygoteError as error:
                return Answer(End.SUPERSEDED, f"It could not be copied: {error}.")
            if run.quota_exceeded:
                return Answer(End.SUPERSEDED, f"It could not be copied: {run.quota_exceeded}.")
            path = os.path.join(home, os.path.basename(request.checkpoint.path))
            private = request_for_copy(request, path, run.inspection)
            if isinstance(private, Answer):
                return private
            return answer_for_original(await self._verify(private, on_check), request, path)
        finally:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(remove_tree, home)

    async def _verify(self, request: Request, on_check: Callable[[CheckResult], None]) -> Answer:
        started = time.monotonic()
        deadline = started + self._worker.timeout
        skip = request.settings.skip
        facts = Facts(format=request.checkpoint.format)
        checks: list[CheckResult] = []
        sandbox: SandboxState | None = None
        stderr = overran = ""
        for stage in (SCAN, LOAD):
            blocked = child_outcome.blocking_check(checks) or overran
            names = checks_of(stage, request.settings)
            if blocked or set(names) <= set(skip):
                checks += child_outcome.not_run(names, blocked, ()) if blocked else ()
                continue
            given = to_json(facts) if stage == LOAD else None
            job = self._job(stage, request, facts=given, checks=names)
            size = child_outcome.memory_needed(checks, request.generation.size_bytes)
            python = request.settings.python if stage == LOAD else ""
            worker = self._worker
            run = await self._attempts.run(ChildTask(job, python, size), worker, deadline, on_check)
            deadline += run.waited
            sandbox = run.sandbox or sandbox
            stderr = run.stderr or stderr
            checks += [
                out_of_memory.with_memory_details(check, run, worker.memory) for check in run.checks
            ]
            if run.finished is not None and run.finished.end is not End.DONE:
                return Answer(run.finished.end, run.finished.message)
            recorded = facts.has_golden
            died = child_outcome.early_exit_result(
                names, run, skip, worker.timeout, recorded=recorded
            )
            if died is not None:
                died = out_of_memory.with_memory_details(died, run, worker.memory)
                lost = child_outcome.lost_checks(names, died, checks, skip)
                checks += (died, *lost)
                on_check(died)
                overran = died.name if run.timed_out else ""
                told = run.facts
            else:
                told = run.finished.facts if run.finished is not None else None
            if told is not None:
                evaluation = request.settings.evaluate
                asked = evaluation.digest if evaluation.is_set else ""
                facts = (
                    answer_validator.merge_load_facts(facts, told, asked, run.environment)
                    if stage == LOAD
                    else told
                )
        if sandbox is not None:
            facts = replace(facts, environment={**facts.environment, "sandbox": sandbox.told})
        report = _report(request, facts, checks, time.monotonic() - started, stderr)
        return Answer(End.DONE, "", report)

    def _job(self, stage: str, request: Request, **more: Any) -> Job:
        enforce = self._worker.sandbox == "enforce"
        return Job(stage, "", to_json(request), enforce=enforce, **more)

    async def _child(self, work: ChildTask, seconds: float = 0.0) -> ChildResult:
        seconds = seconds or self._worker.timeout
        limits = self._attempts.limits(work, self._worker, seconds)
        return await self._attempts.child(work, limits, seconds)

    async def inspect(self, path: str, fmt: Format) -> dict[str, Any]:
        """Say what is in a checkpoint; see `Dispatcher`."""
        request = Request(Checkpoint(path, fmt), Generation(()), VerifySettings())
        job = self._job(INSPECT, request)
        try:
            run = await self._child(ChildTask(job), _INSPECT_SECONDS)
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
        self.interpreters.forget(used)

    def renew(self, python: str) -> None:
        """Load with a fresh interpreter from now on; see `Dispatcher`."""
        self.interpreters.renew(python)

    async def close(self) -> None:
        """End every zygote, and with them their children."""
        await self.interpreters.close()

    def configure(self, worker: WorkerSettings) -> None:
        """Take other settings; how many may work at a time and idle_exit stay as they are."""
        self._worker = worker

    def status(self) -> list[dict[str, Any]]:
        """The processes behind it; see `Dispatcher`."""
        return [
            {**row, "memory_bytes": self._attempts.memory_of(row["kind"], self._worker)}
            for row in self.interpreters.status()
        ]


def _report(
    request: Request,
    facts: Facts,
    checks: list[CheckResult],
    seconds: float,
    stderr: str,
) -> Report:
    verdict, reason, message, shown = decide(checks, request.settings.fail_on)
    checkpoint = replace(
        request.checkpoint,
        format=facts.format,
        step=request.checkpoint.step if facts.step is None else facts.step,
        metrics={**request.checkpoint.metrics, **facts.metrics},
    )
    noisy = any(c.outcome in (Outcome.FAIL, Outcome.ERROR) for c in checks)
    return Report(
        checkpoint=checkpoint,
        generation=request.generation,
        verdict=verdict,
        reason=reason,
        message=message,
        shown=shown,
        checks=tuple(checks),
        # For the load stage alone, and long.
        facts=replace(facts, optimizer_tensors=None, other_tensors=None),
        duration_seconds=seconds,
        settings_digest=request.settings.digest,
        finished_at=time.time(),
        stderr=stderr if noisy else "",
    )
