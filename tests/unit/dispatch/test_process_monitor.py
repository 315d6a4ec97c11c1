"""Reading the memory of a running process."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap

import pytest

from checkpointd.dispatch.process_monitor import MemoryExceededError, PeakMemory, ProcessMonitor
from checkpointd.worker.protocol import ChildLimits


def test_a_child_that_uses_too_much_memory_is_noticed_soon() -> None:
    """Shared memory counts too, which no limit of the kernel's counts."""
    program = """
        import mmap
        area = mmap.mmap(-1, 400 << 20)
        for start in range(0, len(area), 1 << 20):
            area[start : start + (1 << 20)] = bytes(1 << 20)
        input()
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    peak = PeakMemory()
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        status = os.open(f"/proc/{process.pid}/status", os.O_RDONLY)
        limits = ChildLimits(1 << 40, 1, 1, memory_bytes=200 << 20)
        try:
            with pytest.raises(MemoryExceededError):
                asyncio.run(asyncio.wait_for(ProcessMonitor([status], limits, peak).watch(), 30))
        finally:
            process.kill()
            os.close(status)
    assert 200 << 20 < peak.memory <= 420 << 20
