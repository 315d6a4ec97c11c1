"""The daemon's side of a zygote: start it, have it fork, hold the clock, see each child end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
import tempfile
import threading
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from checkpointd.core import decode
from checkpointd.dispatch import zygote_start
from checkpointd.dispatch.answer_validator import printable_lines
from checkpointd.dispatch.child_result import ChildResult, receive_answers
from checkpointd.dispatch.child_scratch import came, child_scratch, end, open_process, tail
from checkpointd.dispatch.foreign_packages import package_copy
from checkpointd.dispatch.process_monitor import ProcessMonitor, QuotaExceededError
from checkpointd.dispatch.quota import run_within_quota
from checkpointd.worker import protocol
from checkpointd.worker.protocol import ForkRequest, Job, Limits, Notice, SandboxState

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from checkpointd.core.check_result import CheckResult

_START_SECONDS = 180.0
_FORK_SECONDS = 30.0
_KILL_GRACE_SECONDS = 10.0
_END_SECONDS = 2.0


class ZygoteError(Exception):
    """A zygote was lost; the sentence says what it said last."""


class StartError(ZygoteError):
    """A zygote could not be started; the sentence says why, and what to do.

    `hung` tells one that did not answer in time from one that failed.
    """

    def __init__(self, message: str, *, hung: bool = False) -> None:
        super().__init__(message)
        self.hung = hung


class Zygote:
    """One warm interpreter. `start()` it, `run()` jobs on it, `close()` it.

    Must be used from one event loop, in the main thread: the kernel ends a zygote together with
    the thread that started it.
    """

    def __init__(self, kind: str, python: str, scratch: Path) -> None:
        self.kind = kind
        self.python = python or sys.executable
        self.environment: Mapping[str, str] = {}
        self.sandbox: SandboxState | None = None
        self.can_fork = True
        self.busy = 0
        self.pid = 0
        self._scratch = scratch
        self._process: subprocess.Popen[bytes] | None = None
        self._reaper: threading.Thread | None = None
        self._control: socket.socket | None = None
        self._ready: asyncio.Future[None] | None = None
        self._forks: dict[int, asyncio.Future[list[int]]] = {}
        self._exits: dict[int, asyncio.Future[int]] = {}
        self._number = 0
        self._used = False

    @property
    def up(self) -> bool:
        """Whether another job can be run on it."""
        return (
            self._process is not None
            and self._process.poll() is None
            and self._control is not None
            and not self.spent
        )

    @property
    def spent(self) -> bool:
        """Whether it cannot fork and was taken by a job, which it turns into."""
        return self._used and not self.can_fork

    async def start(self) -> None:
        """Start the interpreter and wait until its imports are over.

        Raises:
            StartError: it cannot be started, or its imports fail.
        """
        try:
            await self._start()
        except OSError as error:
            self.close()
            raise StartError(f"No worker can be started: {error.strerror}.") from None
        except BaseException:
            self.close()
            raise

    async def _start(self) -> None:
        await asyncio.to_thread(self._scratch.mkdir, parents=True, exist_ok=True)
        source = await asyncio.to_thread(package_copy, self.python, self._scratch)
        with tempfile.TemporaryFile(dir=self._scratch) as log:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._control = ours
            with theirs:
                self._process = zygote_start.launch(
                    self.python, self.kind, theirs.fileno(), log, self._scratch, source
                )
            self.pid = self._process.pid
            ours.setblocking(False)
            loop = asyncio.get_running_loop()
            self._ready = loop.create_future()
            loop.add_reader(ours, self._on_notice)
            try:
                async with asyncio.timeout(_START_SECONDS):
                    await self._ready
            except TimeoutError:
                what = f"did not finish its imports within {_START_SECONDS:g} s"
                raise self._not_started(what, hung=True) from None
            except ZygoteError as error:
                said = tail(log.fileno()).splitlines()
                code = await zygote_start.wait_for_exit_code(self._process, _END_SECONDS)
                what = str(error) or zygote_start.describe_exit(code, said[-1] if said else "")
                raise self._not_started(what) from None

    def _not_started(self, what: str, *, hung: bool = False) -> StartError:
        message = zygote_start.start_error_message(
            self.python, what, load=self.kind == protocol.LOAD
        )
        return StartError(message, hung=hung)

    def _on_notice(self) -> None:
        if self._control is None:
            return
        fds: list[int] = []
        try:
            data, fds, _, _ = socket.recv_fds(self._control, protocol.MAX_DATAGRAM, 2)
            notice = protocol.decode_notice(data) if data else None
        except BlockingIOError:
            return
        except (OSError, decode.DecodeError):
            notice = None
        if notice is None:
            self._lost()
        else:
            self._take(notice, fds)
        for fd in fds:
            os.close(fd)

    def _take(self, notice: Notice, fds: list[int]) -> None:
        """Hand a notice to whoever waits for it; descriptors that are taken leave `fds`."""
        if notice.kind == "ready":
            self._on_ready(notice)
            return
        if notice.kind == "exited":
            exited = self._exits.pop(notice.number, None)
            if exited is not None and not exited.done():
                exited.set_result(notice.status)
            return
        future = self._forks.pop(notice.number, None)
        if future is None or future.done():
            return
        if fds:
            future.set_result(fds[:])
            fds.clear()

    def _on_ready(self, notice: Notice) -> None:
        if self._ready is None or self._ready.done():
            return
        if notice.environment is None:
            self._ready.set_exception(ZygoteError(notice.message))
            return
        self.can_fork = notice.can_fork
        self.sandbox = notice.sandbox
        self.environment = {str(k): str(v) for k, v in notice.environment.items()}
        self._ready.set_result(None)

    def _lost(self, message: str = "it ended by itself") -> None:
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(ZygoteError(""))
            self._ready.exception()
        error = ZygoteError(message)
        waiting: list[asyncio.Future[Any]] = [*self._forks.values(), *self._exits.values()]
        for future in waiting:
            if not future.done():
                future.set_exception(error)
                future.exception()  # whoever waits sees it; nobody waiting is no warning
        self._forks.clear()
        self._exits.clear()
        self._disconnect()

    def _connected(self) -> socket.socket:
        if self._control is None:
            raise ZygoteError("it ended by itself")
        return self._control

    def _disconnect(self) -> None:
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control)
            self._control.close()
            self._control = None

    def close(self) -> None:
        """End the interpreter and, with it, its children; whoever waits for one is told.

        Its end is waited for elsewhere: what hangs in a file system cannot be killed.
        """
        self._lost("it was closed")
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._reaper = threading.Thread(
                target=self._process.wait, name=f"end-of-{self.pid}", daemon=True
            )
            self._reaper.start()
            self._process = None
        self.pid = 0

    async def ended(self) -> None:
        """Wait for the interpreter's end, after `close`; not for ever."""
        deadline = time.monotonic() + _END_SECONDS
        while self._reaper is not None and self._reaper.is_alive():
            if time.monotonic() > deadline:
                return
            await asyncio.sleep(0.01)

    async def run(
        self,
        job: Job,
        limits: Limits,
        seconds: float,
        on_check: Callable[[CheckResult], None] | None = None,
    ) -> ChildResult:
        """Run one job in a child of its own.

        Args:
            job: what to do; its `scratch` is made here and removed afterwards.
            limits: bounds of the child.
            seconds: wall-clock seconds after which the child is killed.
            on_check: told about each check as it finishes.

        Returns:
            What the child did, however it ended.

        Raises:
            ZygoteError: the zygote was lost before it could fork.
        """
        self._number += 1
        number = self._number
        self.busy += 1
        self._used = True
        result = ChildResult()
        try:
            with child_scratch(self.kind, self._scratch) as (scratch, stderr):
                await self._run(number, job, scratch, stderr, limits, seconds, on_check, result)
                result.stderr = printable_lines(tail(stderr))
        except OSError as error:
            raise ZygoteError(f"no worker can be made: {error.strerror}") from None
        finally:
            self.busy -= 1
        return result

    async def _run(
        self,
        number: int,
        job: Job,
        scratch: Path,
        stderr: int,
        limits: Limits,
        seconds: float,
        on_check: Callable[[CheckResult], None] | None,
        result: ChildResult,
    ) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        exited: asyncio.Future[int] = loop.create_future()
        forked: asyncio.Future[list[int]] = loop.create_future()
        descriptors: list[int] = []
        writer: asyncio.StreamWriter | None = None
        try:
            control = self._connected()
            order = ForkRequest(number, limits, become=not self.can_fork)
            socket.send_fds(control, [protocol.encode(order)], [theirs.fileno(), stderr])
            theirs.close()
            if order.become:
                descriptors = open_process(self.pid)
            else:
                self._exits[number] = exited
                self._forks[number] = forked
                async with asyncio.timeout(_FORK_SECONDS):  # wait_for may swallow a cancellation
                    descriptors = await forked
            pidfd, result.limits = descriptors[0], limits
            watched = ProcessMonitor(descriptors[1:], limits, result.peak)
            ours.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=ours, limit=protocol.MAX_LINE)
            try:
                async with asyncio.timeout(seconds):
                    writer.write(protocol.encode(replace(job, scratch=str(scratch))))
                    ended = partial(self._status, exited, pidfd, become=order.become)
                    heard = receive_answers(job, reader, result, on_check, ended)
                    status = await run_within_quota(heard, scratch, limits.file_bytes, watched)
            except (TimeoutError, decode.DecodeError, QuotaExceededError) as error:
                result.set_kill_reason(error)
                status = await self._kill(exited, pidfd, become=order.become)
            result.set_exit_status(status)
        except (ZygoteError, OSError, TimeoutError):
            if not descriptors:
                raise ZygoteError("the zygote was lost") from None
            result.lost = True
        finally:
            end(descriptors or came(forked))
            self._exits.pop(number, None)
            self._forks.pop(number, None)
            theirs.close()
            if writer is not None:
                writer.close()
            else:
                ours.close()

    async def _status(self, exited: asyncio.Future[int], pidfd: int, *, become: bool) -> int:
        if not become:
            return await asyncio.shield(exited)  # a wait that is given up is made again
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        loop.add_reader(pidfd, lambda: None if ended.done() else ended.set_result(None))
        try:
            await ended
        finally:
            loop.remove_reader(pidfd)
        if self._process is None:
            raise ZygoteError("it was closed")
        code = self._process.wait()
        return -code if code < 0 else code << 8

    async def _kill(self, exited: asyncio.Future[int], pidfd: int, *, become: bool) -> int:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        async with asyncio.timeout(_KILL_GRACE_SECONDS):
            return await self._status(exited, pidfd, become=become)
