"""The time limit that does not count the time in which others had the core of a process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from checkpointd.dispatch.cpu_wait import timeout_without_waits, waited_for_cpu

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIMIT, _MOST = 0.2, 5.0
_BUSY = "print(flush=True)\nwhile True: pass"


@contextlib.contextmanager
def _on_core(core: int, code: str, nice: int = 0) -> Iterator[int]:
    """A process that runs on one core alone."""
    confine = f"import os\nos.sched_setaffinity(0, [{core}])\nos.nice({nice})\n"
    command = [sys.executable, "-I", "-S", "-c", confine + code]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process.pid
        finally:
            process.kill()


def _seconds(pid: int, most: float = _MOST) -> float:
    """How long the limit lets a block wait for a process that never answers."""

    async def wait() -> float:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            async with timeout_without_waits(_LIMIT, pid, most):
                await asyncio.sleep(_MOST)
        return time.monotonic() - began

    return asyncio.run(wait())


@pytest.fixture
def core() -> int:
    """One that this process may use."""
    return min(os.sched_getaffinity(0))


def test_a_process_that_others_keep_from_running_gets_longer(core: int) -> None:
    """So long as it has waited for the core, until the whole time is over that it may take."""
    with _on_core(core, _BUSY), _on_core(core, _BUSY, nice=10) as pid:
        taken = _seconds(pid)
        assert taken > 2 * _LIMIT
        assert waited_for_cpu(pid) > taken - 2 * _LIMIT
        assert _LIMIT < _seconds(pid, most=2 * _LIMIT) < taken


def test_a_process_that_only_sleeps_gets_no_longer(core: int) -> None:
    """What hangs is not waiting for a core."""
    code = "import time\nprint(flush=True)\ntime.sleep(100)"
    with _on_core(core, code) as pid:
        waited = waited_for_cpu(pid)
        assert _seconds(pid) < _LIMIT + waited + 1


def test_nothing_is_known_of_a_process_that_has_ended() -> None:
    """It has not waited, as far as can be seen."""
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", ""]) as process:
        process.wait()
    assert waited_for_cpu(process.pid) == 0.0
