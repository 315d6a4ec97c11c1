"""Runs one hook: its input, its environment, and what came of it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from checkpointd.core.text import encodable, json_text, printable

if TYPE_CHECKING:
    from checkpointd.ledger import HookEvent

_PROGRAM = Path(__file__).with_name("hook_process.py")
_LATE_SECONDS = 10.0
_END_SECONDS = 6.0
_MAX_STDERR = 300
_NOT_PASSED_ON = ("NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_", "JOURNAL_STREAM")
_IN_ENVIRONMENT = ("path", "series", "step", "verdict", "reason", "rule")


@dataclass(frozen=True)
class HookResult:
    """What came of one run: `outcome` is `ok`, `failed` or `timeout`; `error` a clause."""

    outcome: str
    error: str = ""


async def run_hook(command: tuple[str, ...], event: HookEvent, limit: float) -> HookResult:
    """Run a command with an event as JSON on its standard input.

    It and everything that it has started is killed when it takes longer than `limit` seconds, or
    when the daemon stops.
    """
    alive, held = os.pipe()
    payload_fd = _file_with(json_text(event.payload).encode())
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(_PROGRAM), str(limit), str(alive), *command),
            stdin=payload_fd,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env=environment(event),
            pass_fds=(alive,),
        )
    except (OSError, ValueError) as error:
        os.close(held)
        return HookResult("failed", f"it cannot be started: {printable(str(error))}")
    finally:
        os.close(alive)
        os.close(payload_fd)
    answer = b""
    try:
        if process.stdout is not None:
            async with asyncio.timeout(limit + _LATE_SECONDS):
                answer = await process.stdout.readline()
    except TimeoutError:
        pass
    except BaseException:
        os.close(held)
        await _ended(process)
        raise
    task = asyncio.create_task(_wait(process, held))
    _LEFT[task] = held
    return result_of(answer, limit)


_LEFT: dict[asyncio.Task[None], int] = {}
"""Waits for what hooks have left running in the background, which their time-out ends; the end of
each one's pipe, which ends it now."""


async def _wait(process: asyncio.subprocess.Process, held: int) -> None:
    await process.communicate()
    task = asyncio.current_task()
    if task is not None and _LEFT.pop(task, None) is not None:
        os.close(held)


async def end_hooks() -> None:
    """End what hooks have left running."""
    left = dict(_LEFT)
    _LEFT.clear()
    for held in left.values():
        os.close(held)
    if left:
        await asyncio.wait(left, timeout=_END_SECONDS)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Wait until the process has ended all that it has to end."""
    try:
        async with asyncio.timeout(_END_SECONDS):
            await process.communicate()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()


def _file_with(data: bytes) -> int:
    """Return a file in memory, not a pipe: a hook need not read its input."""
    file = os.memfd_create("hook", os.MFD_CLOEXEC)
    while data:
        data = data[os.write(file, data) :]
    os.lseek(file, 0, os.SEEK_SET)
    return file


def environment(event: HookEvent) -> dict[str, str]:
    """Return the environment of a hook: the daemon's, and the facts of the event."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_PASSED_ON)}
    facts: dict[str, Any] = {
        "event": event.event,
        "watch": event.watch,
        "hook_id": event.payload.get("hook_id", ""),
        "attempt": event.attempts + 1,
        **{name: event.payload.get(name) for name in _IN_ENVIRONMENT},
    }
    for name, value in facts.items():
        variables[f"CHECKPOINTD_{name.upper()}"] = "" if value is None else _variable(str(value))
    return variables


def _variable(text: str) -> str:
    """Return a text as an environment holds it: a path with the bytes that it has."""
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        text = str(encodable(text))
    return text.replace("\0", "")


def result_of(answer: bytes, limit: float) -> HookResult:
    """Read what `hook_process` has answered."""
    try:
        outcome = json.loads(answer)
    except ValueError:
        return HookResult("failed", "the process that ran it was killed")
    last = "".join(str(outcome.get("stderr", "")).strip().splitlines()[-1:])
    last_line = f", {printable(last, _MAX_STDERR)!r}" if last else ""
    if outcome.get("timeout"):
        return HookResult("timeout", f"it took longer than {limit:g} s and was killed{last_line}")
    if "error" in outcome:
        return HookResult("failed", f"it cannot be started: {outcome['error']}")
    if "signal" in outcome:
        name = signal.Signals(outcome["signal"]).name
        return HookResult("failed", f"it was killed by {name}{last_line}")
    if outcome["code"]:
        return HookResult("failed", f"it ended with {outcome['code']}{last_line}")
    return HookResult("ok")
