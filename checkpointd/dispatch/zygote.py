"""The daemon's side of a zygote: start it, have it fork, hold the clock, see each child end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkpointd import wire
from checkpointd.checkpoint import Facts
from checkpointd.dispatch.environment import rooms_for, zygote_environment
from checkpointd.worker import protocol
from checkpointd.worker.protocol import Finished, Job, Limits, Notice, Order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from checkpointd.checkpoint import CheckResult

_START_SECONDS = 180.0
_FORK_SECONDS = 30.0
_KILL_GRACE_SECONDS = 10.0
_STDERR_TAIL = 8 * 1024


class ZygoteError(Exception):
    """A zygote could not be started, or was lost; the sentence says what it said last."""


@dataclass
class Run:
    """What one child did: its answers in order, and how it ended.

    `facts` are those that it told before it ran the user's own checks, `finished` its last word.
    `signal` is the number of the signal that killed it, 0 if none did; `timed_out` and
    `refused` (a sentence: it broke the protocol) mean that the signal was ours.
    """

    checks: list[CheckResult] = field(default_factory=list)
    facts: Facts | None = None
    finished: Finished | None = None
    inspection: dict[str, Any] | None = None
    signal: int = 0
    exit_code: int = 0
    timed_out: bool = False
    refused: str = ""
    lost: bool = False
    stderr: str = ""


class Zygote:
    """One warm interpreter. `start()` it, `run()` jobs on it, `close()` it.

    Must be used from one event loop, in the main thread: the kernel ends a zygote together with
    the thread that started it.
    """

    def __init__(self, kind: str, python: str, scratch: Path) -> None:
        self.kind = kind
        self.python = python or sys.executable
        self.environment: Mapping[str, str] = {}
        self.can_fork = True
        self.busy = 0
        self.pid = 0
        self._scratch = scratch
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._ready: asyncio.Future[None] | None = None
        self._forks: dict[int, asyncio.Future[int]] = {}
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
            and (self.can_fork or not self._used)
        )

    async def start(self) -> None:
        """Start the interpreter and wait until its imports are over.

        Raises:
            ZygoteError: it cannot be started, or its imports fail.
        """
        try:
            await self._start()
        except OSError as error:
            self.close()
            raise ZygoteError(f"{self.python} cannot be started: {error.strerror}") from None
        except BaseException:
            self.close()
            raise

    async def _start(self) -> None:
        await asyncio.to_thread(self._scratch.mkdir, parents=True, exist_ok=True)
        source = await asyncio.to_thread(rooms_for, self.python, self._scratch)
        with contextlib.ExitStack() as until_ready:
            log = until_ready.enter_context(tempfile.TemporaryFile(dir=self._scratch))
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            self._control = ours
            with theirs:
                numbers = [str(theirs.fileno()), str(os.getpid())]
                self._process = subprocess.Popen(  # noqa: ASYNC220 - PDEATHSIG binds it to a thread
                    [self.python, "-m", "checkpointd.worker", self.kind, *numbers],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=self._scratch,
                    env=zygote_environment(self._scratch, source),
                    start_new_session=True,
                )
            self.pid = self._process.pid
            ours.setblocking(False)
            loop = asyncio.get_running_loop()
            self._ready = loop.create_future()
            loop.add_reader(ours, self._on_notice)
            try:
                await asyncio.wait_for(self._ready, _START_SECONDS)
            except (TimeoutError, ZygoteError) as error:
                log.seek(0, os.SEEK_SET)
                said = log.read()[-_STDERR_TAIL:].decode(errors="replace").strip()
                reason = str(error) or f"no answer within {_START_SECONDS:.0f} s"
                last = f": {said.splitlines()[-1]}" if said else ""
                raise ZygoteError(f"{self.python}: {reason}{last}") from None

    def _on_notice(self) -> None:
        if self._control is None:
            return
        fds: list[int] = []
        try:
            data, fds, _, _ = socket.recv_fds(self._control, protocol.MAX_DATAGRAM, 1)
            notice = protocol.decode_notice(data) if data else None
        except BlockingIOError:
            return
        except (OSError, wire.WireError):
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
        waiting = self._forks if notice.kind == "forked" else self._exits
        future = waiting.pop(notice.number, None)
        if future is None or future.done():
            return
        if notice.kind == "exited":
            future.set_result(notice.status)
        elif fds:
            future.set_result(fds.pop())

    def _on_ready(self, notice: Notice) -> None:
        if self._ready is None or self._ready.done():
            return
        if notice.environment is None:
            self._ready.set_exception(ZygoteError(notice.message))
            return
        self.can_fork = notice.can_fork
        self.environment = {str(k): str(v) for k, v in notice.environment.items()}
        self._ready.set_result(None)

    def _lost(self, message: str = "it ended by itself") -> None:
        error = ZygoteError(message)
        for future in (self._ready, *self._forks.values(), *self._exits.values()):
            if future is not None and not future.done():
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
        """End the interpreter and, with it, its children; whoever waits for one is told."""
        self._lost("it was closed")
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
            self._process = None
        self.pid = 0

    async def run(
        self,
        job: Job,
        limits: Limits,
        seconds: float,
        on_check: Callable[[CheckResult], None] | None = None,
    ) -> Run:
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
        result = Run()
        try:
            with _of_its_own(self.kind, self._scratch) as (scratch, stderr):
                await self._run(number, job, scratch, stderr, limits, seconds, on_check, result)
                result.stderr = _tail(stderr)
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
        result: Run,
    ) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        exited: asyncio.Future[int] = loop.create_future()
        pidfd = -1
        writer: asyncio.StreamWriter | None = None
        try:
            control = self._connected()
            order = Order(number, limits, become=not self.can_fork)
            socket.send_fds(control, [protocol.encode(order)], [theirs.fileno(), stderr])
            theirs.close()
            if order.become:
                pidfd = os.pidfd_open(self.pid)
            else:
                self._exits[number] = exited
                self._forks[number] = forked = loop.create_future()
                pidfd = await asyncio.wait_for(forked, _FORK_SECONDS)
            ours.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=ours, limit=protocol.MAX_LINE)
            try:
                async with asyncio.timeout(seconds):
                    writer.write(protocol.encode(replace(job, scratch=str(scratch))))
                    await _listen(job.checks, reader, result, on_check)
                    status = await self._status(exited, pidfd, become=order.become)
            except TimeoutError:
                result.timed_out = True
                status = await self._kill(exited, pidfd, become=order.become)
            except wire.WireError as error:
                result.refused = str(error)
                status = await self._kill(exited, pidfd, become=order.become)
            result.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
            result.exit_code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0
        except (ZygoteError, OSError, TimeoutError):
            if pidfd < 0:
                raise ZygoteError("the zygote was lost") from None
            result.lost = True
        finally:
            if pidfd >= 0:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                os.close(pidfd)
            self._exits.pop(number, None)
            self._forks.pop(number, None)
            theirs.close()
            if writer is not None:
                writer.close()
            else:
                ours.close()

    async def _status(self, exited: asyncio.Future[int], pidfd: int, *, become: bool) -> int:
        if not become:
            return await exited
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


async def _listen(
    checks: Sequence[str],
    reader: asyncio.StreamReader,
    result: Run,
    on_check: Callable[[CheckResult], None] | None,
) -> None:
    """Take a child's answers until it closes its end; more, or other, than agreed is refused."""
    expected = list(checks)
    total = 0
    while line := await _line(reader):
        total += len(line)
        if total > protocol.MAX_TOTAL:
            raise wire.WireError("it said too much")
        answer = protocol.decode_answer(line)
        if result.finished is not None or result.inspection is not None:
            raise wire.WireError("it went on after its end")
        if isinstance(answer, Finished):
            result.finished = answer
        elif isinstance(answer, dict):
            result.inspection = answer
        elif isinstance(answer, Facts):
            result.facts = answer
        elif answer.name in expected:
            del expected[: expected.index(answer.name) + 1]
            result.checks.append(answer)
            if on_check is not None:
                on_check(answer)
        else:
            raise wire.WireError(f"an answer out of turn: {answer.name!r}")


async def _line(reader: asyncio.StreamReader) -> bytes:
    """One whole line; empty when the child has closed its end, in the middle of a line too."""
    try:
        line = await reader.readline()
    except ValueError:
        raise wire.WireError("a line was too long") from None
    except ConnectionError:
        return b""
    return line if line.endswith(b"\n") else b""


@contextlib.contextmanager
def _of_its_own(kind: str, parent: Path) -> Iterator[tuple[Path, int]]:
    """A scratch directory and a file for stderr, for one child; both are gone afterwards.

    Raises:
        OSError: they cannot be made.
    """
    scratch = Path(tempfile.mkdtemp(prefix=f"{kind}-", dir=parent))
    try:
        stderr = os.memfd_create("stderr", os.MFD_CLOEXEC)
        try:
            yield scratch, stderr
        finally:
            os.close(stderr)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _tail(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    data = os.pread(descriptor, _STDERR_TAIL, max(0, size - _STDERR_TAIL))
    return data.decode(errors="replace").strip()
