"""The user's own command that receives each verdict."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

import structlog

from checkpointd.core.text import json_text

if TYPE_CHECKING:
    from checkpointd.core.report import Report

_SECONDS = 30.0

log = structlog.get_logger()


async def run_hook(command: tuple[str, ...], report: Report) -> None:
    """Run a command with a report as JSON on its standard input; its failure is only logged.

    It is killed when it takes longer than 30 seconds, or when the daemon stops.
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
        return
    try:
        async with asyncio.timeout(_SECONDS):
            _, stderr = await process.communicate(json_text(report.to_public()).encode())
    except TimeoutError:
        bound.warning("hook took too long and was killed", seconds=_SECONDS)
        return
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if process.returncode:
        last = stderr.decode(errors="replace").strip().splitlines()[-1:]
        bound.warning("hook failed", code=process.returncode, stderr="".join(last))
