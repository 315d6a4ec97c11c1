"""The user's own command that receives each verdict."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

import structlog

from checkpointd.core.text import json_text, printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.core.report import Report

_SECONDS = 30.0

log = structlog.get_logger()


class HookRunner:
    """Runs hooks; `failures` is by watch what its last hook failed of, until one succeeds.

    Args:
        count: called with a watch, an event and an outcome for each hook that has ended.
    """

    def __init__(self, count: Callable[[str, str, str], None]) -> None:
        self.failures: dict[str, str] = {}
        self._count = count

    async def run(self, command: tuple[str, ...], report: Report) -> None:
        """Run the hook of a report's watch, and note its failure."""
        failure = await run_hook(command, report)
        watch = report.checkpoint.watch
        self.failures.pop(watch, None)
        self._count(watch, "on_verdict", "failed" if failure else "ok")
        if failure:
            self.failures[watch] = (
                f"Watch {watch}: the hook {command[0]} failed: {failure.rstrip('.')}. Correct it, "
                "or take it out of `on_verdict`."
            )


async def run_hook(command: tuple[str, ...], report: Report) -> str:
    """Run a command with a report as JSON on its standard input.

    It is killed when it takes longer than 30 seconds, or when the daemon stops.

    Returns:
        Why it failed, empty if it did not.
    """
    bound = log.bind(command=command[0], path=report.checkpoint.path)
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=dict(os.environ),
        )
    except OSError as error:
        bound.warning("hook cannot be started", error=error.strerror)
        return f"it cannot be started: {error.strerror}"
    try:
        async with asyncio.timeout(_SECONDS):
            _, stderr = await process.communicate(json_text(report.to_public()).encode())
    except TimeoutError:
        bound.warning("hook took too long and was killed", seconds=_SECONDS)
        return f"it took longer than {_SECONDS:g} s and was killed"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if not process.returncode:
        return ""
    last = "".join(stderr.decode(errors="replace").strip().splitlines()[-1:])
    bound.warning("hook failed", code=process.returncode, stderr=last)
    return f"it ended with {process.returncode}{f', {printable(last)!r}' if last else ''}"
