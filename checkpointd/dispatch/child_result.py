"""What one child did: its answers, as far as the protocol allows them, and how it ended."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from checkpointd.core import decode
from checkpointd.core.check_result import CheckResult
from checkpointd.core.report import Facts
from checkpointd.dispatch.answer_validator import AnswerValidator
from checkpointd.dispatch.process_monitor import MemoryExceededError, PeakMemory
from checkpointd.worker import protocol
from checkpointd.worker.protocol import Finished, SandboxState

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from checkpointd.dispatch.process_monitor import QuotaExceededError
    from checkpointd.worker.protocol import ChildLimits, Job

_EXIT_SECONDS = 30.0
"""How long a child may live on after it has closed its end of the stream."""

_LAST_ANSWERS_SECONDS = 2.0
"""How long answers are read after the child has ended."""


@dataclass
class ChildResult:
    """What one child did: its answers in order, and how it ended.

    Attributes:
        sandbox: its first answer: what confined it before it read anything.
        checks: its check results, in order.
        facts: those that it reported before it ran the user's checks.
        finished: its last answer; None if it ended early.
        inspection: the answer of an INSPECT, COPY or DIFF.
        environment: what its interpreter reported before it was forked.
        signal: the number of the signal that killed it; 0 if none did.
        exit_code: as of wait(2).
        timed_out: the dispatcher killed it, because its time was up.
        protocol_error: the dispatcher killed it, because it broke the protocol; a clause.
        quota_exceeded: the dispatcher killed it, because of what it used; a clause.
        memory_exceeded: the dispatcher killed it, because of the memory that it used.
        oom_killed: the kernel killed some process for lack of memory meanwhile.
        peak: the most memory that it was seen to use.
        limits: its limits; None if it was not started.
        lost: its zygote ended.
        not_started: there was no interpreter to run it; a sentence.
        stderr: the end of what it printed.
        waited: seconds that it waited for other children.
    """

    sandbox: SandboxState | None = None
    checks: list[CheckResult] = field(default_factory=list)
    facts: Facts | None = None
    finished: Finished | None = None
    inspection: dict[str, Any] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    signal: int = 0
    exit_code: int = 0
    timed_out: bool = False
    protocol_error: str = ""
    quota_exceeded: str = ""
    memory_exceeded: bool = False
    oom_killed: bool = False
    peak: PeakMemory = field(default_factory=PeakMemory)
    limits: ChildLimits | None = None
    lost: bool = False
    not_started: str = ""
    stderr: str = ""
    waited: float = 0.0

    def set_exit_status(self, status: int) -> None:
        """Record how it ended, from its wait status."""
        self.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        self.exit_code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0

    def set_kill_reason(
        self, error: TimeoutError | decode.DecodeError | QuotaExceededError
    ) -> None:
        """Record why the dispatcher kills it."""
        if isinstance(error, TimeoutError):
            self.timed_out = True
        elif isinstance(error, decode.DecodeError):
            self.protocol_error = str(error)
        elif isinstance(error, MemoryExceededError):
            self.memory_exceeded = True
        else:
            self.quota_exceeded = str(error)


async def receive_answers(
    job: Job,
    reader: asyncio.StreamReader,
    result: ChildResult,
    on_check: Callable[[CheckResult], None] | None,
    wait_for_exit: Callable[[], Awaitable[int]],
    on_facts: Callable[[Facts], None] | None = None,
) -> int:
    """Read a child's answers until it has ended; return its wait status.

    With its last answer it has done its work: the caller kills it, because giving back
    the memory of TensorFlow takes longer than a small checkpoint's checks. A process that the child
    left behind may hold the stream open, so only a short time is spent on answers after the child's
    end. A child that closes its end must exit soon.

    Raises:
        DecodeError: it broke the protocol.
    """
    started = time.monotonic()
    reading = asyncio.ensure_future(read_answers(job, reader, result, on_check, started, on_facts))
    exiting = asyncio.ensure_future(wait_for_exit())
    try:
        await asyncio.wait((reading, exiting), return_when=asyncio.FIRST_COMPLETED)
        timeout = _EXIT_SECONDS if reading.done() else _LAST_ANSWERS_SECONDS
        if reading.done() and reading.exception() is None and result.finished is not None:
            return 0
        if not reading.done() or reading.exception() is None:
            await asyncio.wait((reading, exiting), timeout=timeout)
        if reading.done():
            reading.result()
        if not exiting.done():
            raise decode.DecodeError("it closed its end of the connection and did not exit")
        return exiting.result()
    finally:
        reading.cancel()
        exiting.cancel()
        await asyncio.gather(reading, exiting, return_exceptions=True)


async def read_answers(
    job: Job,
    reader: asyncio.StreamReader,
    result: ChildResult,
    on_check: Callable[[CheckResult], None] | None,
    started: float,
    on_facts: Callable[[Facts], None] | None = None,
) -> None:
    """Read a child's answers up to its last one; anything unexpected is refused.

    `on_facts` is called with what a scan knows before it reads the weights; `started` is when it
    received its job, on the monotonic clock.

    Raises:
        DecodeError: it broke the protocol.
    """
    validator = AnswerValidator(job)
    total = 0
    while line := await _line(reader):
        total += len(line)
        if total > protocol.MAX_TOTAL:
            raise decode.DecodeError("its answers are too long")
        answer = protocol.decode_answer(line)
        if isinstance(answer, SandboxState):
            result.sandbox = validator.sandbox(answer)
        elif isinstance(answer, CheckResult):
            check = validator.check(answer, time.monotonic() - started)
            result.checks.append(check)
            result.peak.note_check(check.name)
            if on_check is not None:
                on_check(check)
        elif isinstance(answer, Finished):
            result.finished = validator.end(answer)
            return
        elif isinstance(answer, Facts) and validator.expects_early_facts:
            early = validator.early_facts(answer)
            if on_facts is not None:
                on_facts(early)
        elif isinstance(answer, Facts):
            result.facts = validator.facts(answer)
        else:
            result.inspection = validator.inspection(answer)


async def _line(reader: asyncio.StreamReader) -> bytes:
    """Read one line; empty when the child has closed its end, also in the middle of a line."""
    try:
        line = await reader.readline()
    except ValueError:
        raise decode.DecodeError("a line was too long") from None
    except ConnectionError:
        return b""
    return line if line.endswith(b"\n") else b""
