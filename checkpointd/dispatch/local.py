"""Verification on this host: a scan zygote, a load zygote per interpreter, bounded concurrency."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from checkpointd.checkpoint import (
    Answer,
    Checkpoint,
    CheckResult,
    End,
    Facts,
    Format,
    Generation,
    Outcome,
    Report,
    Request,
    decide,
    to_json,
)
from checkpointd.criteria import VerifySettings, most_unpacked
from checkpointd.dispatch import hearing, judge
from checkpointd.dispatch.interpreters import Interpreters
from checkpointd.dispatch.private import for_copy, of_original
from checkpointd.dispatch.run import Run
from checkpointd.dispatch.zygote import StartError, ZygoteError
from checkpointd.removal import remove_tree
from checkpointd.worker import protocol
from checkpointd.worker.protocol import COPY, INSPECT, LOAD, SCAN, Job, Limits, Sandbox

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from checkpointd.config import WorkerSettings

_MiB = 1024 * 1024
_SCAN_BASE = 1024 * _MiB
_LOAD_BASE = 2048 * _MiB
_FILE_BYTES = 64 * _MiB
_INSPECT_SECONDS = 120.0


def limits_for(stage: str, size: int, memory: int | str, timeout: float) -> Limits:
    """Bound a child by what its checkpoint can need.

    Args:
        stage: the stage that it runs.
        size: bytes of the checkpoint; of what it holds, unpacked, where that is known.
        memory: bytes configured, or `"auto"`: a base and three times the checkpoint.
        timeout: wall-clock seconds.
    """
    if isinstance(memory, int):
        data = memory
    elif stage == LOAD:
        data = max(_LOAD_BASE, _LOAD_BASE // 4 + 3 * size)
    else:
        data = _SCAN_BASE
    # The scan unpacks the weights of a compressed archive into a file without a name.
    written = most_unpacked(size) if stage in (SCAN, INSPECT) else size
    return Limits(data_bytes=data, file_bytes=_FILE_BYTES + written, cpu_seconds=int(timeout) + 1)


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
        self._on_exit = on_exit or (lambda _cause: None)
        self._slots = asyncio.Semaphore(worker.concurrency)
        self.interpreters = Interpreters(scratch, worker.idle_exit)

    async def warm(self, settings: VerifySettings) -> None:
        """Start both interpreters that these settings need; a failure is told by `verify`."""
        skipped = set(protocol.checks_of(LOAD, settings)) <= set(settings.skip)
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
            limits = limits_for(
                COPY, request.generation.size_bytes, self._worker.memory, self._worker.timeout
            )
            try:
                run = await self._run(job, "", limits, self._worker.timeout)
            except ZygoteError as error:
                return Answer(End.SUPERSEDED, f"It could not be copied: {error}.")
            if run.overdrawn:
                return Answer(End.SUPERSEDED, f"It could not be copied: {run.overdrawn}.")
            path = os.path.join(home, os.path.basename(request.checkpoint.path))
            private = for_copy(request, path, run.inspection)
            if isinstance(private, Answer):
                return private
            return of_original(await self._verify(private, on_check), request, path)
        finally:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(remove_tree, home)

    async def _verify(self, request: Request, on_check: Callable[[CheckResult], None]) -> Answer:
        started = time.monotonic()
        deadline = started + self._worker.timeout
        skip = request.settings.skip
        facts = Facts(format=request.checkpoint.format)
        checks: list[CheckResult] = []
        sandbox: Sandbox | None = None
        stderr = overran = ""
        for stage in (SCAN, LOAD):
            blocked = judge.blocking(checks) or overran
            names = protocol.checks_of(stage, request.settings)
            if blocked or set(names) <= set(skip):
                checks += judge.not_run(names, blocked, ()) if blocked else ()
                continue
            given = to_json(facts) if stage == LOAD else None
            job = self._job(stage, request, facts=given, checks=names)
            size = judge.needed_bytes(checks, request.generation.size_bytes)
            run = await self._stage(job, request, size, deadline, on_check)
            sandbox = run.sandbox or sandbox
            stderr = run.stderr or stderr
            checks += run.checks
            if run.finished is not None and run.finished.end is not End.DONE:
                return Answer(run.finished.end, run.finished.message)
            recorded = facts.has_golden
            died = judge.death(names, run, skip, self._worker.timeout, recorded=recorded)
            if died is not None:
                checks.append(died)
                on_check(died)
                checks += judge.not_run(names, died.name, checks)
                overran = died.name if run.timed_out else ""
                told = run.facts
            else:
                told = run.finished.facts if run.finished is not None else None
            if told is not None:
                evaluation = request.settings.evaluate
                asked = evaluation.digest if evaluation.is_set else ""
                facts = (
                    hearing.of_load(facts, told, asked, run.environment) if stage == LOAD else told
                )
        if sandbox is not None:
            facts = replace(facts, environment={**facts.environment, "sandbox": sandbox.told})
        report = _report(request, facts, checks, time.monotonic() - started, stderr)
        return Answer(End.DONE, "", report)

    def _job(self, stage: str, request: Request, **more: Any) -> Job:
        enforce = self._worker.sandbox == "enforce"
        return Job(stage, "", to_json(request), enforce=enforce, **more)

    async def _stage(
        self,
        job: Job,
        request: Request,
        size: int,
        deadline: float,
        on_check: Callable[[CheckResult], None],
    ) -> Run:
        """Run a stage; once more in a fresh interpreter where that may change the outcome."""
        python = request.settings.python if job.stage == LOAD else ""
        run = Run()
        for attempt in (1, 2):
            remaining = max(0.1, deadline - time.monotonic())
            limits = limits_for(job.stage, size, self._worker.memory, self._worker.timeout)
            try:
                run = await self._run(
                    job, python, limits, remaining, on_check if attempt == 1 else None
                )
            except StartError as error:
                run = Run(not_started=str(error))
            except ZygoteError as error:
                run = Run(lost=True, stderr=str(error))
            if job.stage == LOAD:
                self.interpreters.used()
            self._on_exit(_cause(run))
            if not (run.lost or judge.crashed(run)):
                break
            self.interpreters.discard(job.stage, python)
        return run

    async def _run(
        self,
        job: Job,
        python: str,
        limits: Limits,
        seconds: float,
        on_check: Callable[[CheckResult], None] | None = None,
    ) -> Run:
        zygote = await self.interpreters.get(LOAD if job.stage == LOAD else SCAN, python)
        try:
            run = await zygote.run(job, limits, seconds, on_check)
            return replace(run, environment=zygote.environment)
        finally:
            self.interpreters.release(zygote)

    async def inspect(self, path: str, fmt: Format) -> dict[str, Any]:
        """Say what is in a checkpoint; see `Dispatcher`."""
        request = Request(Checkpoint(path, fmt), Generation(()), VerifySettings())
        job = self._job(INSPECT, request)
        limits = limits_for(INSPECT, 0, self._worker.memory, _INSPECT_SECONDS)
        try:
            run = await self._run(job, "", limits, _INSPECT_SECONDS)
        except ZygoteError as error:
            return {"error": str(error)}
        if run.inspection is not None:
            return run.inspection
        last = run.stderr.splitlines()[-1] if run.stderr else f"exit {run.exit_code}"
        return {"error": f"It could not be read: {run.refused or run.overdrawn or last}."}

    def forget(self, used: Collection[str]) -> None:
        """Forget the interpreters that no settings name any more; see `Interpreters`."""
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
        return self.interpreters.status()


def _cause(run: Run) -> str:
    if run.timed_out:
        return "timeout"
    if run.refused:
        return "protocol"
    if run.overdrawn:
        return "overdrawn"
    if run.lost or run.not_started:
        return "lost"
    if run.signal:
        return "signal"
    return "ok" if run.exit_code == 0 else "error"


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
        facts=replace(facts, optimizer_tensors=None),  # for the load stage alone, and long
        duration_seconds=seconds,
        settings_digest=request.settings.digest,
        finished_at=time.time(),
        stderr=stderr if noisy else "",
    )
