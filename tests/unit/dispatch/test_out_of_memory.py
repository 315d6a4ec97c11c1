"""When a child is known to have had too little memory, and the message about it."""

from __future__ import annotations

import signal

import pytest

from checkpointd.core import memory_errors
from checkpointd.core.check_result import failed, passed
from checkpointd.core.suite import LOAD_CHECKS
from checkpointd.dispatch import child_outcome, out_of_memory
from checkpointd.dispatch.child_result import ChildResult
from checkpointd.dispatch.process_monitor import PeakMemory
from checkpointd.verify import suite
from checkpointd.worker.protocol import ChildLimits

GIB = 1 << 30
LIMITS = ChildLimits(data_bytes=8 * GIB, file_bytes=1, cpu_seconds=1, memory_bytes=4 * GIB)


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
def test_messages_of_libraries_about_memory_are_recognised(text: str) -> None:
    """In an exception, in the cause of another one, in a message, in the last output of a crash."""
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
def test_other_errors_are_not_about_memory(text: str) -> None:
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
def test_when_a_child_runs_again_with_more_memory(
    run: ChildResult, *, short: bool, again: bool
) -> None:
    """Where it is known that memory was short, or a failure came near a limit."""
    assert out_of_memory.ran_out(run) is short
    assert out_of_memory.may_have_run_out(run) is again


def test_the_message_contains_the_memory_used_and_the_source_of_the_limit() -> None:
    """For memory in use, and for one request that was too large."""
    check = failed("load", "out_of_memory", "It was killed because it used too much memory.")
    full = ChildResult(peak=PeakMemory(4 * GIB, 0), limits=LIMITS)
    assert out_of_memory.with_memory_details(check, full, 4 * GIB).message == (
        "It was killed because it used too much memory. It used 4.0 GiB of the 4.0 GiB that "
        "[worker] memory allows."
    )
    at_once = ChildResult(peak=PeakMemory(GIB, 0), limits=LIMITS)
    message = out_of_memory.with_memory_details(check, at_once, "auto").message
    assert "asked for more than was left in one request" in message
    assert '[worker] memory = "auto"' in message
    other = passed("load")
    assert out_of_memory.with_memory_details(other, full, "auto") is other
