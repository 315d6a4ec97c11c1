"""The limits of a child: what the machine can spare, or what is configured."""

from __future__ import annotations

from typing import Any

from checkpointd.dispatch.limits import limits_for
from checkpointd.worker.protocol import LOAD, SCAN, ChildLimits

GIB = 1 << 30


def limits(stage: str, size: int, memory: int | str = "auto", **given: Any) -> ChildLimits:
    """The limits of a child on a machine that can spare 20 GiB."""
    return limits_for(stage, size, memory, 60, **{"spare": 20 * GIB, **given})


def test_a_child_may_use_what_the_machine_can_spare_unless_a_number_is_configured() -> None:
    """Whatever the size of its checkpoint; children that run at a time share it."""
    assert limits(LOAD, 10**6).memory_bytes == limits(LOAD, 10**10).memory_bytes == 20 * GIB
    assert limits(LOAD, 1, share=4).memory_bytes == 5 * GIB
    assert limits(LOAD, 1, share=4, alone=True).memory_bytes == 20 * GIB
    assert limits(LOAD, 1, 2 * GIB).memory_bytes == 2 * GIB
    assert limits(LOAD, 1, 2 * GIB, alone=True).memory_bytes == 2 * GIB
    assert limits(LOAD, 1, spare=0).memory_bytes == GIB


def test_a_small_model_never_reaches_the_kernels_limit_first() -> None:
    """It counts what is only mapped; for a child that runs alone it is off."""
    assert limits(LOAD, 1, GIB).data_bytes == 20 * GIB
    assert limits(LOAD, 1, spare=0).data_bytes == 2 * GIB
    assert limits(LOAD, 1, GIB, alone=True).data_bytes > 1 << 60


def test_the_scan_needs_little_memory() -> None:
    """Unless a number is configured, or it is tried again alone."""
    assert limits(SCAN, 10**12).memory_bytes == limits(SCAN, 10**12).data_bytes == GIB
    assert limits(SCAN, 1, alone=True).memory_bytes == 20 * GIB
    assert limits(SCAN, 1, 3 * GIB).memory_bytes == 3 * GIB


def test_the_scan_may_unpack_as_much_as_any_sound_archive_holds() -> None:
    """Into a file without a name; the load side writes nothing of that size."""
    assert limits(SCAN, 10**6).file_bytes >= 256 << 20
    assert limits(SCAN, 10**8).file_bytes >= 10**10
    assert limits(LOAD, 10**8).file_bytes < 2 * 10**8
