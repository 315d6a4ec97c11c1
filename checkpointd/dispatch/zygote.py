"""The daemon's side of a zygote: starts it, lets it fork, enforces deadlines, reaps each child."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from checkpointd.core import decode
from checkpointd.dispatch import zygote_start
from checkpointd.dispatch.answer_validator import printable_lines
from checkpointd.dispatch.child_result import ChildResult, receive_answers
from checkpointd.dispatch.child_scratch import (
    child_scratch,
    kill_and_close,
    open_process,
    received_descriptors,
    tail,
)
from checkpointd.dispatch.cpu_wait import timeout_without_waits
from checkpointd.dispatch.early_load import NOTHING, Exchange, sending
from checkpointd.dispatch.foreign_packages import package_copy
from checkpointd.dispatch.process_monitor import ProcessMonitor, QuotaExceededError
from checkpointd.dispatch.quota import run_within_quota
from checkpointd.dispatch.zygote_connection import ZygoteConnection, ZygoteError
from checkpointd.worker import protocol
from checkpointd.worker.protocol import ChildLimits, ForkRequest, Job, SandboxState

if TYPE_CHECKING:
    import subprocess
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from checkpointd.core.check_result import CheckResult

    OnCheck = Callable[[CheckResult], None]

_START_SECONDS = 180.0
_MOST_START_SECONDS = 3600.0
_FORK_SECONDS = 30.0
_KILL_GRACE_SECONDS = 10.0
_EXIT_SECONDS = 2.0


class ZygoteStartError(ZygoteError):
    """A zygote could not be started; the message says why, and what to do.

    `hung` is set for one that did not answer in time, not for one that failed.
    """

    def __init__(self, message: str, *, hung: bool = False) -> None:
        super().__init__(message)
        self.hung = hung


@dataclass
class ChildProcess:
    """One child as long as it runs.

    `exited` is None where the zygote itself turns into the child.
    """

    number: int
    exited: asyncio.Future[int] | None = None
    descriptors: list[int] = field(default_factory=list)
    scratch: Path = field(init=False)
    stderr: int = field(init=False)
    reader: asyncio.StreamReader = field(init=False)
    writer: asyncio.StreamWriter = field(init=False)

    @property
    def pidfd(self) -> int:
        """Return the descriptor that signals it."""
        return self.descriptors[0]


class Zygote:
    """One warm interpreter. `start()` it, `run()` jobs on it, `close()` it.

    Must be used from one event loop, in the main thread: the kernel kills a zygote when the thread
    that started it ends.
    """

    def __init__(
        self,
        kind: str,
        python: str,
        scratch: Path,
        threads: int = 1,
        launched: zygote_start.Launched | None = None,
    ) -> None:
        self.kind = kind
        self.python = python or sys.executable
        self.environment: Mapping[str, str] = {}
        self.sandbox: SandboxState | None = None
        self.can_fork = True
        self.busy = 0
        self.pid = 0
        self._scratch = scratch
        self._threads = threads
        self._launched = launched
        self._process: subprocess.Popen[bytes] | None = None
        self._reaper: threading.Thread | None = None
        self._connection: ZygoteConnection | None = None
        self._number = 0
        self._used = False

    @property
    def up(self) -> bool:
        """Whether another job can be run on it."""
        return (
            self._process is not None
            and self._process.poll() is None
            and self._connection is not None
            and self._connection.is_open
            and not self.spent
        )

    @property
    def spent(self) -> bool:
        """Whether it cannot fork and has turned into the child of its only job."""
        return self._used and not self.can_fork

    async def start(self) -> None:
        """Start the interpreter and wait until its imports are over.

        Raises:
            ZygoteStartError: it cannot be started, or its imports fail.
        """
        try:
            await self._start()
        except OSError as error:
            self.close()
            raise ZygoteStartError(f"No worker can be started: {error.strerror}.") from None
        except BaseException:
            self.close()
            raise

    async def _start(self) -> None:
        await asyncio.to_thread(self._scratch.mkdir, parents=True, exist_ok=True)
        source = await asyncio.to_thread(package_copy, self.python, self._scratch)
        launched, self._launched = self._launched, None
        if launched is None:
            launched = zygote_start.launch(
                self.python, self.kind, self._scratch, source, self._threads
            )
        self._connection = ZygoteConnection(launched.control)
        self._process = launched.process
        self.pid = self._process.pid
        with launched.log as log:
            try:
                async with timeout_without_waits(_START_SECONDS, self.pid, _MOST_START_SECONDS):
                    notice = await self._connection.ready
            except TimeoutError:
                clause = f"did not finish its imports within {_START_SECONDS:g} s"
                raise self._start_error(clause, hung=True) from None
            except ZygoteError:
                lines = tail(log.fileno()).splitlines()
                code = await zygote_start.wait_for_exit_code(self._process, _EXIT_SECONDS)
                clause = zygote_start.describe_exit(code, lines[-1] if lines else "")
                raise self._start_error(clause) from None
        if notice.environment is None:
            raise self._start_error(notice.message or "reported no environment")
        self.can_fork = notice.can_fork
        self.sandbox = notice.sandbox
        self.environment = {str(k): str(v) for k, v in notice.environment.items()}

    def _start_error(self, clause: str, *, hung: bool = False) -> ZygoteStartError:
        load = self.kind == protocol.LOAD
        message = zygote_start.start_error_message(self.python, clause, load=load, hung=hung)
        return ZygoteStartError(message, hung=hung)

    def close(self) -> None:
        """Kill the interpreter and, with it, its children; callers waiting for one get an error.

        Does not wait for its end: a process that hangs in a file system cannot be killed.
        """
        if self._connection is not None:
            self._connection.close("it was closed")
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._reaper = threading.Thread(
                target=self._process.wait, name=f"reap-{self.pid}", daemon=True
            )
            self._reaper.start()
            self._process = None
        self.pid = 0

    async def wait_closed(self) -> None:
        """Wait a short time for the interpreter's end, after `close`."""
        deadline = time.monotonic() + _EXIT_SECONDS
        while self._reaper is not None and self._reaper.is_alive():
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(0.01)

    async def run(
        self,
        job: Job,
        limits: ChildLimits,
        seconds: float,
        on_check: OnCheck | None = None,
        exchange: Exchange = NOTHING,
    ) -> ChildResult:
        """Run one job in a new child.

        Args:
            job: what to do; its `scratch` is made here and removed afterwards.
            limits: of the child.
            seconds: wall-clock seconds after which the child is killed.
            on_check: called with each check as it finishes.
            exchange: what a load that begins early needs of its scan.

        Returns:
            What the child did, however it ended.

        Raises:
            ZygoteError: the zygote was lost before it could fork.
        """
        self.busy += 1
        try:
            async with self.child(limits) as child:
                return await self.run_in(child, job, limits, seconds, on_check, exchange)
        finally:
            self.busy -= 1

    @contextlib.asynccontextmanager
    async def child(self, limits: ChildLimits) -> AsyncIterator[ChildProcess]:
        """Fork a child, which waits for its job; afterwards it is dead and its scratch removed.

        Raises:
            ZygoteError: the zygote was lost before it could fork, or nothing can be made for it.
        """
        self._number += 1
        self._used = True
        child = ChildProcess(self._number)
        writer: asyncio.StreamWriter | None = None
        ours: socket.socket | None = None
        try:
            with child_scratch(self.kind, self._scratch) as (child.scratch, child.stderr):
                try:
                    ours, theirs = socket.socketpair()
                    ours.setblocking(False)
                    with theirs:
                        await self._fork(child, limits, theirs.fileno(), child.stderr)
                    child.reader, writer = await asyncio.open_connection(
                        sock=ours, limit=protocol.MAX_LINE
                    )
                    child.writer = writer
                    yield child
                except (ZygoteError, OSError, TimeoutError):
                    if not child.descriptors:
                        raise ZygoteError("the zygote was lost") from None
                    raise
                finally:
                    kill_and_close(child.descriptors)
                    if self._connection is not None:
                        self._connection.forget_child(child.number)
                    if writer is not None:
                        writer.close()
                    elif ours is not None:
                        ours.close()
        except OSError as error:
            raise ZygoteError(f"no worker can be made: {error.strerror}") from None

    async def run_in(
        self,
        child: ChildProcess,
        job: Job,
        limits: ChildLimits,
        seconds: float,
        on_check: OnCheck | None = None,
        exchange: Exchange = NOTHING,
    ) -> ChildResult:
        """Run one job in a child that waits for it; see `run`."""
        job = replace(job, scratch=str(child.scratch))
        result = ChildResult(limits=limits)
        try:
            monitor = ProcessMonitor(child.descriptors[1:], limits, result.peak)
            try:
                async with asyncio.timeout(seconds), sending(exchange, child.writer):
                    child.writer.write(protocol.encode(job))
                    answers = receive_answers(
                        job,
                        child.reader,
                        result,
                        on_check,
                        lambda: self.wait_status(child),
                        exchange.on_facts,
                    )
                    status = await run_within_quota(
                        answers, child.scratch, limits.file_bytes, monitor
                    )
            except (TimeoutError, decode.DecodeError, QuotaExceededError) as error:
                result.set_kill_reason(error)
                status = await self._kill(child)
            result.set_exit_status(status)
        except (ZygoteError, OSError, TimeoutError):
            result.lost = True
        result.stderr = printable_lines(tail(child.stderr))
        return result

    async def _fork(
        self, child: ChildProcess, limits: ChildLimits, stream: int, stderr: int
    ) -> None:
        """Let the zygote fork the child, or turn into it."""
        if self._connection is None:
            raise ZygoteError("it was not started")
        request = ForkRequest(child.number, limits, become=not self.can_fork)
        if request.become:
            self._connection.send(request, [stream, stderr])
            child.descriptors = open_process(self.pid)
            return
        forked, child.exited = self._connection.expect_child(child.number)
        self._connection.send(request, [stream, stderr])
        try:
            async with asyncio.timeout(_FORK_SECONDS):  # wait_for may swallow a cancellation
                child.descriptors = await forked
        finally:
            child.descriptors = child.descriptors or received_descriptors(forked)

    async def wait_status(self, child: ChildProcess) -> int:
        """Wait for a child's end and return its wait status."""
        if child.exited is not None:
            return await asyncio.shield(child.exited)  # a cancelled wait is repeated by `_kill`
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        loop.add_reader(child.pidfd, lambda: None if ended.done() else ended.set_result(None))
        try:
            await ended
        finally:
            loop.remove_reader(child.pidfd)
        if self._process is None:
            raise ZygoteError("it was closed")
        code = self._process.wait()
        return -code if code < 0 else code << 8

    async def _kill(self, child: ChildProcess) -> int:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)
        async with asyncio.timeout(_KILL_GRACE_SECONDS):
            return await self.wait_status(child)
