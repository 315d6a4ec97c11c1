"""The limits of a child: what this machine can spare, unless a number is configured. Pure."""

from __future__ import annotations

from checkpointd.core.expansion import most_unpacked
from checkpointd.worker.protocol import DIFF, INSPECT, LOAD, SCAN, ChildLimits

_MiB = 1 << 20
_SCAN_BYTES = 1024 * _MiB
"""The scan streams: it needs memory for a few blocks, however large the checkpoint is."""

_LOAD_MIN = 1024 * _MiB
_LOAD_MAPPED_MIN = 2048 * _MiB
"""What TensorFlow maps without using it: stacks, and heaps that it never fills."""

_LOADED_SIZES = 2
"""A load is not begun beside a scan in less memory than its checkpoint's size times this."""

_FILE_BYTES = 64 * _MiB
NO_LIMIT = 1 << 62


def fits_beside_scan(size: int, memory: int | str, spare: int, share: int) -> bool:
    """Whether a checkpoint can be loaded while it is scanned, within what one child may use.

    Args:
        size: bytes of the checkpoint.
        memory: as for `limits_for`, like the rest.
        spare: bytes that this machine can spare now.
        share: among how many children.
    """
    total = memory if isinstance(memory, int) else spare // share
    return total - _SCAN_BYTES >= max(_LOAD_MIN, _LOADED_SIZES * size)


def limits_for(
    stage: str,
    size: int,
    memory: int | str,
    timeout: float,
    *,
    spare: int,
    share: int = 1,
    alone: bool = False,
    beside: bool = False,
) -> ChildLimits:
    """Return the limits of a child.

    The memory that it may use (`memory_bytes`) is configured, or what the machine can spare; the
    daemon kills it beyond that. The kernel's own limit (`data_bytes`) also counts memory that is
    only mapped, and an allocation that it refuses looks like any crash: it is wide, and off for a
    child that runs alone, whose crash is then the checkpoint's fault.

    Args:
        stage: the stage that it runs.
        size: bytes of the checkpoint, unpacked where that is known.
        memory: bytes configured, or `"auto"`.
        timeout: wall-clock seconds.
        spare: bytes that this machine can spare now.
        share: among how many children.
        alone: whether no other child runs, so that it may use all that is free.
        beside: whether the same checkpoint is scanned and loaded at the same time: what both may
            use together is what one of them may use otherwise.
    """
    if isinstance(memory, int):
        used = memory
    elif stage == LOAD or alone:
        used = max(spare if alone else spare // share, _LOAD_MIN)
    else:
        used = _SCAN_BYTES
    if beside and not alone:
        used = used - _SCAN_BYTES if stage == LOAD else min(used, _SCAN_BYTES)
    data = max(used, spare, _LOAD_MAPPED_MIN) if stage == LOAD else used
    # The scan unpacks the weights of a compressed archive into a file without a name.
    written = most_unpacked(size) if stage in (SCAN, INSPECT, DIFF) else size
    return ChildLimits(
        data_bytes=NO_LIMIT if alone else data,
        file_bytes=_FILE_BYTES + written,
        cpu_seconds=int(timeout) + 1,
        memory_bytes=used,
    )
