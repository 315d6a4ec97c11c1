"""A time limit for a process that does not count the time in which others had its core.

Beside a job that uses every core, imports that take seconds take minutes. That is no sign that they
hang, and if they were ended, the next start would take as long again.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_MARGIN_SECONDS = 0.02
"""How long before a limit ends it is computed again."""


def waited_for_cpu(pid: int) -> float:
    """Return for how many seconds the main thread of a process was ready and did not run.

    0 if it has ended, or if this kernel does not count it. Source: the second number of
    /proc/PID/schedstat, Documentation/scheduler/sched-stats.rst.
    """
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0


@contextlib.asynccontextmanager
async def timeout_without_waits(seconds: float, pid: int, most: float) -> AsyncIterator[None]:
    """Limit a block that waits for a process to the time in which that could run.

    Args:
        seconds: without what the process has waited for a core.
        pid: of the process.
        most: seconds with that.

    Raises:
        TimeoutError: the time is over.
    """
    loop = asyncio.get_running_loop()
    began = loop.time()
    planned = list[asyncio.TimerHandle]()
    async with asyncio.timeout(seconds) as limit:

        def extend() -> None:
            until = began + min(seconds + waited_for_cpu(pid), most)
            if until > (limit.when() or 0.0) + _MARGIN_SECONDS:
                limit.reschedule(until)
                planned.append(loop.call_at(until - _MARGIN_SECONDS, extend))

        planned.append(loop.call_at(began + seconds - _MARGIN_SECONDS, extend))
        try:
            yield
        finally:
            planned[-1].cancel()
