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
                asyncio.run(ProcessMonitor([status], limits, peak).watch())
        finally:
            process.kill()
            os.close(status)
    assert 200 << 20 < peak.memory <= 420 << 20


def test_the_memory_of_a_check_is_what_was_used_until_it_ended() -> None:
    """A check that ends between two readings holds at least what was held before."""
    peak = PeakMemory()
    peak.note_check("too early to be seen")
    for memory in (100, 300, 200):
        peak.note(memory, 0)
    peak.note_check("load")
    peak.note_check("signatures")
    peak.note(250, 0)
    peak.note_check("inference")
    assert peak.by_check == {"load": 300, "signatures": 200, "inference": 250}
    assert peak.memory == 300
