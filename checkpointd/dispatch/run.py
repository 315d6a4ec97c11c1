"""What one child did: its answers, taken as far as the protocol allows, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from checkpointd import wire
from checkpointd.checkpoint import Facts
from checkpointd.worker import protocol
from checkpointd.worker.protocol import Finished, Sandbox

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from checkpointd.checkpoint import CheckResult


@dataclass
class Run:
    """What one child did: its answers in order, and how it ended.

    `sandbox` is its first word: what confined it before it read anything.
    `facts` are those that it told before it ran the user's own checks, `finished` its last word.
    `signal` is the number of the signal that killed it, 0 if none did; `timed_out` and
    `refused` (a sentence: it broke the protocol) mean that the signal was ours; `not_started` (a
    sentence) that there was no interpreter to run it.
    """

    sandbox: Sandbox | None = None
    checks: list[CheckResult] = field(default_factory=list)
    facts: Facts | None = None
    finished: Finished | None = None
    inspection: dict[str, Any] | None = None
    signal: int = 0
    exit_code: int = 0
    timed_out: bool = False
    refused: str = ""
    lost: bool = False
    not_started: str = ""
    stderr: str = ""


async def listen(
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
        _in_turn(answer, result)
        if isinstance(answer, Sandbox):
            result.sandbox = answer
        elif isinstance(answer, Finished):
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


def _in_turn(answer: object, result: Run) -> None:
    if isinstance(answer, Sandbox) != (result.sandbox is None):
        raise wire.WireError("what confines it has to be its first word, once")


async def _line(reader: asyncio.StreamReader) -> bytes:
    """One whole line; empty when the child has closed its end, in the middle of a line too."""
    try:
        line = await reader.readline()
    except ValueError:
        raise wire.WireError("a line was too long") from None
    except ConnectionError:
        return b""
    return line if line.endswith(b"\n") else b""
