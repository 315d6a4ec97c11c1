"""What a machine can spare, and how it is known that a child had too little."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from checkpointd.core import memory_errors
from checkpointd.core.check_result import failed, passed
from checkpointd.core.suite import LOAD_CHECKS
from checkpointd.dispatch import child_outcome, host_memory, out_of_memory
from checkpointd.dispatch.child_result import ChildResult
from checkpointd.dispatch.process_monitor import MemoryExceededError, PeakMemory, ProcessMonitor
from checkpointd.dispatch.shared_lock import SharedLock
from checkpointd.verify import suite
from checkpointd.worker.protocol import ChildLimits

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1 << 30
LIMITS = ChildLimits(data_bytes=8 * GIB, file_bytes=1, cpu_seconds=1, memory_bytes=4 * GIB)


def machine(root: Path, available: int, files: dict[str, str] | None = None) -> Path:
    """A machine of 64 GiB with so many GiB available, and what else its kernel tells."""
    meminfo = f"MemTotal: {64 << 20} kB\nMemFree: 1 kB\nMemAvailable: {available << 20} kB\n"
    for name, text in {"proc/meminfo": meminfo, **(files or {})}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


UNIT = "sys/fs/cgroup/system.slice/checkpointd.service"
V1 = "sys/fs/cgroup/memory/slurm/job_7"
RESERVE = host_memory.reserve(64 * GIB)


@pytest.mark.parametrize(
    ("files", "spare"),
    [
        ({}, 32 * GIB - RESERVE),
        (
            {  # systemd, with MemoryHigh= below MemoryMax=; the slice above has no limit
                "proc/self/cgroup": "0::/system.slice/checkpointd.service\n",
                f"{UNIT}/memory.max": f"{12 * GIB}\n",
                f"{UNIT}/memory.high": f"{10 * GIB}\n",
                f"{UNIT}/memory.current": f"{3 * GIB}\n",
                f"{UNIT}/memory.stat": f"anon {GIB}\ninactive_file {2 * GIB}\nactive_file 0\n",
                "sys/fs/cgroup/system.slice/memory.max": "max\n",
                "sys/fs/cgroup/system.slice/memory.current": "5\n",
            },
            9 * GIB - host_memory.reserve(10 * GIB),
        ),
        (
            {  # the slice is tighter than the unit
                "proc/self/cgroup": "0::/system.slice/checkpointd.service\n",
                f"{UNIT}/memory.max": "max\n",
                f"{UNIT}/memory.current": "9\n",
                "sys/fs/cgroup/system.slice/memory.max": f"{8 * GIB}\n",
                "sys/fs/cgroup/system.slice/memory.current": f"{GIB}\n",
            },
            7 * GIB - host_memory.reserve(8 * GIB),
        ),
        (
            {  # a container: the path of the host is not there, the root is ours
                "proc/self/cgroup": "0::/kubepods/pod1/abc\n",
                "sys/fs/cgroup/memory.max": f"{4 * GIB}\n",
                "sys/fs/cgroup/memory.current": f"{GIB}\n",
            },
            3 * GIB - host_memory.reserve(4 * GIB),
        ),
        (
            {  # the first version, beside the second without controllers
                "proc/self/cgroup": "4:cpu,memory:/slurm/job_7\n0::/\n",
                f"{V1}/memory.limit_in_bytes": f"{16 * GIB}\n",
                f"{V1}/memory.usage_in_bytes": f"{8 * GIB}\n",
                f"{V1}/memory.stat": f"total_inactive_file {GIB}\ninactive_file 5\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "7\n",
            },
            9 * GIB - host_memory.reserve(16 * GIB),
        ),
        (
            {  # a machine that promises no more than it has
                "proc/sys/vm/overcommit_memory": "2\n",
                "proc/meminfo": f"MemTotal: {64 << 20} kB\nMemAvailable: {60 << 20} kB\n"
                f"CommitLimit: {32 << 20} kB\nCommitted_AS: {30 << 20} kB\n",
            },
            2 * GIB,
        ),
        ({"proc/meminfo": ""}, 0),
    ],
)
def test_what_a_machine_can_spare(tmp_path: Path, files: dict[str, str], spare: int) -> None:
    """The least of its own and what each control group leaves, without the page cache."""
    assert host_memory.available_bytes(machine(tmp_path, 32, files)) == spare


def test_a_machine_that_is_full_spares_nothing(tmp_path: Path) -> None:
    """What is left is the training job's."""
    assert host_memory.available_bytes(machine(tmp_path, 1)) == 0


def test_this_machine_says_what_it_can_spare() -> None:
    """With whatever kernel and control groups it has."""
    assert 0 <= host_memory.available_bytes() < 1 << 50
    assert host_memory.oom_kills() >= 0


def test_a_child_that_holds_too_much_is_ended_soon() -> None:
    """Shared memory counts too, which no limit of the kernel's counts."""
    program = """
        import mmap
        area = mmap.mmap(-1, 400 << 20)
        for start in range(0, len(area), 1 << 20):
            area[start : start + (1 << 20)] = bytes(1 << 20)
        input()
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    held = PeakMemory()
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        status = os.open(f"/proc/{process.pid}/status", os.O_RDONLY)
        bound = ChildLimits(1 << 40, 1, 1, memory_bytes=200 << 20)
        try:
            with pytest.raises(MemoryExceededError):
                asyncio.run(asyncio.wait_for(ProcessMonitor([status], bound, held).watch(), 30))
        finally:
            process.kill()
            os.close(status)
    assert 200 << 20 < held.memory <= 420 << 20


LIBRARIES = (
    "OOM when allocating tensor with shape[4096,4096,64] and type float on /job:localhost",
    "could not create a primitive",
    "could not execute a primitive",
    "Unable to allocate 1.00 MiB for an array with shape (1, 512, 512, 1)",
    "[Errno 12] Cannot allocate memory",
    "terminate called after throwing an instance of 'std::bad_alloc'",
    "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17179869184 bytes.",
)
OTHERS = (
    "Matrix size-incompatible: In[0]: [1,3], In[1]: [4,5]",
    "No OpKernel was registered to support Op 'CudnnRNN'",
    "Unknown layer: 'MemoryEfficientAttention'",
)


@pytest.mark.parametrize("text", LIBRARIES)
def test_what_libraries_say_of_memory_is_understood(text: str) -> None:
    """In an exception, in one that led to another, in a message, in the last words of a crash."""
    assert memory_errors.mentions_memory(text)
    outer = ValueError("it failed")
    outer.__cause__ = RuntimeError(text)
    assert memory_errors.is_memory_error(outer)
    assert suite.from_exception("load", outer).reason == "load.out_of_memory"
    died = child_outcome.early_exit_result(
        LOAD_CHECKS,
        ChildResult(signal=signal.SIGABRT, stderr=f"noise\n{text}\nbye"),
        (),
        9.0,
    )
    assert died is not None
    assert died.reason == "load.out_of_memory"


@pytest.mark.parametrize("text", OTHERS)
def test_other_errors_are_not_taken_for_it(text: str) -> None:
    """They stay what they are."""
    assert not memory_errors.mentions_memory(text)
    assert not memory_errors.is_memory_error(ValueError(text))


@pytest.mark.parametrize(
    ("run", "short", "again"),
    [
        (ChildResult(memory_exceeded=True, signal=9), True, True),
        (ChildResult(signal=signal.SIGKILL), True, True),
        (ChildResult(signal=signal.SIGKILL, timed_out=True), False, False),
        (ChildResult(checks=[failed("inference", "out_of_memory", "x.")]), True, True),
        (ChildResult(exit_code=1, stderr="MemoryError"), True, True),
        (
            ChildResult(signal=signal.SIGSEGV, peak=PeakMemory(3 * GIB, 0), limits=LIMITS),
            True,
            True,
        ),
        (ChildResult(signal=signal.SIGSEGV, peak=PeakMemory(GIB, 0), limits=LIMITS), False, False),
        (
            ChildResult(
                checks=[failed("load", "load_error", "x.")],
                peak=PeakMemory(0, 5 * GIB),
                limits=LIMITS,
            ),
            False,
            True,
        ),
        (
            ChildResult(
                checks=[failed("load", "load_error", "x.")],
                peak=PeakMemory(GIB, GIB),
                limits=LIMITS,
            ),
            False,
            False,
        ),
        (
            ChildResult(checks=[passed("load")], peak=PeakMemory(3 * GIB, 7 * GIB), limits=LIMITS),
            False,
            False,
        ),
        (ChildResult(lost=True, memory_exceeded=True), True, False),
    ],
)
def test_when_a_child_is_tried_again_with_more(
    run: ChildResult, *, short: bool, again: bool
) -> None:
    """Where it is known that memory was short, or a failure came near a limit."""
    assert out_of_memory.ran_out(run) is short
    assert out_of_memory.may_have_run_out(run) is again


def test_the_sentence_says_how_much_there_was_and_who_decided_that() -> None:
    """For what it held, and for one request that was too large."""
    check = failed("load", "out_of_memory", "It was killed because it used too much memory.")
    full = ChildResult(peak=PeakMemory(4 * GIB, 0), limits=LIMITS)
    assert out_of_memory.with_memory_details(check, full, 4 * GIB).message == (
        "It was killed because it used too much memory. It used 4.0 GiB of the 4.0 GiB that "
        "[worker] memory allows."
    )
    at_once = ChildResult(peak=PeakMemory(GIB, 0), limits=LIMITS)
    told = out_of_memory.with_memory_details(check, at_once, "auto").message
    assert "asked for more than was left in one request" in told
    assert '[worker] memory = "auto"' in told
    other = passed("load")
    assert out_of_memory.with_memory_details(other, full, "auto") is other


def test_who_is_alone_waits_for_others_and_they_for_it() -> None:
    """No child runs beside one that is tried again; after it all go on."""
    running: set[str] = set()
    seen: list[set[str]] = []

    async def child(turns: SharedLock, name: str, *, alone: bool) -> None:
        async with turns.exclusive() if alone else turns.shared():
            running.add(name)
            seen.append(set(running))
            try:
                await asyncio.sleep(0.01)
            finally:
                running.discard(name)

    async def work() -> None:
        turns = SharedLock()
        cancelled = asyncio.create_task(child(turns, "gone", alone=True))
        names = [("a", False), ("b", False), ("c", True), ("d", False), ("e", True), ("f", False)]
        tasks = [asyncio.create_task(child(turns, name, alone=alone)) for name, alone in names]
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.wait_for(asyncio.gather(*tasks), 10)

    asyncio.run(work())
    for beside in seen:
        assert not beside & {"c", "e"} or len(beside) == 1
    assert set().union(*seen) >= set("abcdef")
