"""Verification on this host: a scan zygote, a load zygote per interpreter, bounded concurrency."""

from __future__ import annotations

import asyncio
import contextlib
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
    VerifySettings,
    decide,
    to_json,
)
from checkpointd.dispatch import judge
from checkpointd.dispatch.zygote import Run, Zygote, ZygoteError
from checkpointd.worker import protocol
from checkpointd.worker.protocol import INSPECT, LOAD, SCAN, Job, Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from checkpointd.config import WorkerSettings

_MiB = 1024 * 1024
_SCAN_BASE = 1024 * _MiB
_LOAD_BASE = 2048 * _MiB
_FILE_BYTES = 64 * _MiB
_INSPECT_SECONDS = 120.0
_START_AGAIN_SECONDS = 60.0


def limits_for(stage: str, size: int, memory: int | str, timeout: float) -> Limits:
    """Bound a child by what its checkpoint can need.

    Args:
        stage: the stage that it runs.
        size: bytes of the checkpoint.
        memory: bytes configured, or `"auto"`: a base and three times the checkpoint.
        timeout: wall-clock seconds.
    """
    if isinstance(memory, int):
        data = memory
    elif stage == LOAD:
        data = max(_LOAD_BASE, _LOAD_BASE // 4 + 3 * size)
    else:
        data = _SCAN_BASE
    return Limits(data_bytes=data, file_bytes=_FILE_BYTES + size, cpu_seconds=int(timeout) + 1)


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
        self._zygotes: dict[tuple[str, str], Zygote] = {}
        self._starting: dict[tuple[str, str], asyncio.Lock] = {}
        self._last_load = time.monotonic()
        self._failures: dict[tuple[str, str], tuple[float, str]] = {}
        self._retired: set[Zygote] = set()
        self._reaper: asyncio.Task[None] | None = None

    async def _zygote(self, kind: str, python: str) -> Zygote:
        key = (kind, python)
        if kind == LOAD:
            self._last_load = time.monotonic()
        async with self._starting.setdefault(key, asyncio.Lock()):
            zygote = self._zygotes.get(key)
            if zygote is not None and zygote.up:
                return zygote
            if zygote is not None:
                self._retire(key, zygote)
            zygote = Zygote(kind, python, self._scratch)
            try:
                await zygote.start()
            except ZygoteError as error:
                self._failures[key] = (time.monotonic(), str(error))
                raise
            self._failures.pop(key, None)
            self._zygotes[key] = zygote
            if kind == LOAD and self._reaper is None:
                self._reaper = asyncio.create_task(self._end_idle())
            return zygote

    def _retire(self, key: tuple[str, str], zygote: Zygote) -> None:
        """Take no more jobs to a zygote; one that works is ended when its work is done."""
        if self._zygotes.get(key) is zygote:
            del self._zygotes[key]
        if zygote.busy:
            self._retired.add(zygote)
        else:
            zygote.close()
            self._retired.discard(zygote)

    async def _end_idle(self) -> None:
        """End load zygotes that nobody has needed for `idle_exit`."""
        while True:
            idle = time.monotonic() - self._last_load
            await asyncio.sleep(max(0.05, self._worker.idle_exit - idle))
            if time.monotonic() - self._last_load < self._worker.idle_exit:
                continue
            for key, zygote in list(self._zygotes.items()):
                if key[0] == LOAD and not zygote.busy:
                    self._retire(key, zygote)

    async def warm(self, settings: VerifySettings) -> None:
        """Start both interpreters that these settings need; a failure is told by `verify`."""
        skipped = set(protocol.STAGE_CHECKS[LOAD]) <= set(settings.skip)
        kinds = [(SCAN, "")] if skipped else [(SCAN, ""), (LOAD, settings.python)]
        for key in kinds:
            failed_at, _ = self._failures.get(key, (-_START_AGAIN_SECONDS, ""))
            lock = self._starting.get(key)
            starting = lock is not None and lock.locked()
            if starting or time.monotonic() - failed_at < _START_AGAIN_SECONDS:
                continue
            with contextlib.suppress(ZygoteError):
                await self._zygote(*key)

    async def verify(
        self, request: Request, on_check: Callable[[CheckResult], None] | None = None
    ) -> Answer:
        """Verify one generation; see `Dispatcher`."""
        async with self._slots:
            return await self._verify(request, on_check or (lambda _result: None))

    async def _verify(self, request: Request, on_check: Callable[[CheckResult], None]) -> Answer:
        started = time.monotonic()
        deadline = started + self._worker.timeout
        skip = request.settings.skip
        facts = Facts(format=request.checkpoint.format)
        checks: list[CheckResult] = []
        stderr = ""
        for stage in (SCAN, LOAD):
            blocked = judge.blocking(checks)
            names = protocol.STAGE_CHECKS[stage]
            if blocked or set(names) <= set(skip):
                checks += judge.not_run(stage, blocked, ()) if blocked else ()
                continue
            job = Job(
                stage,
                "",
                to_json(request),
                to_json(facts) if stage == LOAD else None,
            )
            run = await self._stage(job, request, deadline, on_check)
            stderr = run.stderr or stderr
            checks += run.checks
            if run.finished is not None and run.finished.end is not End.DONE:
                return Answer(run.finished.end, run.finished.message)
            died = judge.death(stage, run, skip, self._worker.timeout)
            if died is not None:
                checks.append(died)
                on_check(died)
                checks += judge.not_run(stage, died.name, checks)
            elif run.finished is not None:
                facts = run.finished.facts
        report = _report(request, facts, checks, time.monotonic() - started, stderr)
        return Answer(End.DONE, "", report)

    async def _stage(
        self,
        job: Job,
        request: Request,
        deadline: float,
        on_check: Callable[[CheckResult], None],
    ) -> Run:
        """Run a stage; once more in a fresh interpreter where that may change the outcome."""
        python = request.settings.python if job.stage == LOAD else ""
        size = request.generation.size_bytes
        run = Run()
        for attempt in (1, 2):
            remaining = max(0.1, deadline - time.monotonic())
            limits = limits_for(job.stage, size, self._worker.memory, self._worker.timeout)
            try:
                run = await self._run(
                    job, python, limits, remaining, on_check if attempt == 1 else None
                )
            except ZygoteError as error:
                run = Run(lost=True, stderr=str(error))
            if job.stage == LOAD:
                self._last_load = time.monotonic()
            self._on_exit(_cause(run))
            if not (run.lost or judge.crashed(run)):
                break
            self._discard(job.stage, python)
        return run

    async def _run(
        self,
        job: Job,
        python: str,
        limits: Limits,
        seconds: float,
        on_check: Callable[[CheckResult], None] | None = None,
    ) -> Run:
        zygote = await self._zygote(SCAN if job.stage == INSPECT else job.stage, python)
        try:
            return await zygote.run(job, limits, seconds, on_check)
        finally:
            if zygote in self._retired and not zygote.busy:
                zygote.close()
                self._retired.discard(zygote)

    def _discard(self, kind: str, python: str) -> None:
        zygote = self._zygotes.get((kind, python))
        if zygote is not None:
            self._retire((kind, python), zygote)

    async def inspect(self, path: str, fmt: Format) -> dict[str, Any]:
        """Say what is in a checkpoint; see `Dispatcher`."""
        request = Request(Checkpoint(path, fmt), Generation(()), VerifySettings())
        job = Job(INSPECT, "", to_json(request))
        limits = limits_for(INSPECT, 0, self._worker.memory, _INSPECT_SECONDS)
        try:
            run = await self._run(job, "", limits, _INSPECT_SECONDS)
        except ZygoteError as error:
            return {"error": f"The scanner could not be started: {error}."}
        if run.inspection is not None:
            return run.inspection
        last = run.stderr.splitlines()[-1] if run.stderr else f"exit {run.exit_code}"
        return {"error": f"It could not be read: {run.refused or last}."}

    def forget(self, used: Collection[str]) -> None:
        """Forget the interpreters that no settings name any more.

        Args:
            used: the interpreters that are still needed, as settings name them.
        """
        for key in [k for k in self._failures if k[0] == LOAD and k[1] not in used]:
            del self._failures[key]
        for key, zygote in list(self._zygotes.items()):
            if key[0] == LOAD and key[1] not in used:
                self._retire(key, zygote)

    async def close(self) -> None:
        """End every zygote, and with them their children."""
        if self._reaper is not None:
            self._reaper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reaper
        for zygote in (*self._zygotes.values(), *self._retired):
            zygote.close()
        self._zygotes.clear()
        self._retired.clear()

    def status(self) -> list[dict[str, Any]]:
        """The processes behind it; see `Dispatcher`."""
        rows = [
            {
                "kind": kind,
                "python": zygote.python,
                "up": zygote.up,
                "pid": zygote.pid,
                "busy": zygote.busy,
                "forks": zygote.can_fork,
                "environment": dict(zygote.environment),
                "message": "",
            }
            for (kind, _), zygote in self._zygotes.items()
        ]
        return rows + [
            {"kind": kind, "python": python, "up": False, "pid": 0, "busy": 0, "message": message}
            for (kind, python), (_, message) in self._failures.items()
        ]


def _cause(run: Run) -> str:
    if run.timed_out:
        return "timeout"
    if run.refused:
        return "protocol"
    if run.lost:
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
