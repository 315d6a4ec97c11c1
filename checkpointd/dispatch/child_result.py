"""What one child did: its answers, taken as far as the protocol allows, and how it ended."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from checkpointd.core import decode
from checkpointd.core.check_result import CheckResult
from checkpointd.core.report import Facts
from checkpointd.dispatch.answer_validator import Hearing
from checkpointd.dispatch.process_monitor import Held, HeldError
from checkpointd.worker import protocol
from checkpointd.worker.protocol import Finished, Sandbox

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from checkpointd.dispatch.process_monitor import OverdrawnError
    from checkpointd.worker.protocol import Job, Limits

_LINGER_SECONDS = 30.0
_LAST_WORDS_SECONDS = 2.0


@dataclass
class Run:
    """What one child did: its answers in order, and how it ended.

    `sandbox` is its first word: what confined it before it read anything.
    `facts` are those that it told before it ran the user's own checks, `finished` its last word;
    `environment` is what its interpreter said of itself before it was forked.
    `signal` is the number of the signal that killed it, 0 if none did; `timed_out`, `refused` (a
    clause: it broke the protocol) and `overdrawn` (a clause: what it took too much of) mean that
    the signal was ours; `held_too_much` that this was memory; `oom_killed` that the kernel killed
    something for want of it meanwhile; `not_started` (a sentence) that there was no interpreter to
    run it. `held` is what it was seen to hold, `limits` what it might; `waited` the seconds before
    it, in which other children had their turn.
    """

    sandbox: Sandbox | None = None
    checks: list[CheckResult] = field(default_factory=list)
    facts: Facts | None = None
    finished: Finished | None = None
    inspection: dict[str, Any] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    signal: int = 0
    exit_code: int = 0
    timed_out: bool = False
    refused: str = ""
    overdrawn: str = ""
    held_too_much: bool = False
    oom_killed: bool = False
    held: Held = field(default_factory=Held)
    limits: Limits | None = None
    lost: bool = False
    not_started: str = ""
    stderr: str = ""
    waited: float = 0.0

    def ended_with(self, status: int) -> None:
        """Note how it ended, by its wait status."""
        self.signal = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        self.exit_code = os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0

    def ended_for(self, error: TimeoutError | decode.WireError | OverdrawnError) -> None:
        """Note why we end it."""
        if isinstance(error, TimeoutError):
            self.timed_out = True
        elif isinstance(error, decode.WireError):
            self.refused = str(error)
        elif isinstance(error, HeldError):
            self.held_too_much = True
        else:
            self.overdrawn = str(error)


async def hear(
    job: Job,
    reader: asyncio.StreamReader,
    result: Run,
    on_check: Callable[[CheckResult], None] | None,
    ended: Callable[[], Awaitable[int]],
) -> int:
    """Take a child's answers until it has ended, and say with what wait status.

    A process that it left behind may hold the stream open: what comes after its end is not waited
    for. A child that closes its end and lives on has not long to live.

    Raises:
        WireError: it broke the protocol.
    """
    started = time.monotonic()
    listening = asyncio.ensure_future(listen(job, reader, result, on_check, started))
    ending = asyncio.ensure_future(ended())
    try:
        await asyncio.wait((listening, ending), return_when=asyncio.FIRST_COMPLETED)
        patience = _LINGER_SECONDS if listening.done() else _LAST_WORDS_SECONDS
        if not listening.done() or listening.exception() is None:
            await asyncio.wait((listening, ending), timeout=patience)
        if listening.done():
            listening.result()
        if not ending.done():
            raise decode.WireError("it closed its end and lived on")
        return ending.result()
    finally:
        listening.cancel()
        ending.cancel()
        await asyncio.gather(listening, ending, return_exceptions=True)


async def listen(
    job: Job,
    reader: asyncio.StreamReader,
    result: Run,
    on_check: Callable[[CheckResult], None] | None,
    started: float,
) -> None:
    """Take a child's answers until it closes its end; more, or other, than agreed is refused.

    `started` is when it was given its job, on the monotonic clock.

    Raises:
        WireError: it broke the protocol.
    """
    hearing = Hearing(job)
    total = 0
    while line := await _line(reader):
        total += len(line)
        if total > protocol.MAX_TOTAL:
            raise decode.WireError("it said too much")
        answer = protocol.decode_answer(line)
        if isinstance(answer, Sandbox):
            result.sandbox = hearing.sandbox(answer)
        elif isinstance(answer, CheckResult):
            told = hearing.check(answer, time.monotonic() - started)
            result.checks.append(told)
            if on_check is not None:
                on_check(told)
        elif isinstance(answer, Finished):
            result.finished = hearing.end(answer)
        elif isinstance(answer, Facts):
            result.facts = hearing.facts(answer)
        else:
            result.inspection = hearing.inspection(answer)


async def _line(reader: asyncio.StreamReader) -> bytes:
    """One whole line; empty when the child has closed its end, in the middle of a line too."""
    try:
        line = await reader.readline()
    except ValueError:
        raise decode.WireError("a line was too long") from None
    except ConnectionError:
        return b""
    return line if line.endswith(b"\n") else b""
