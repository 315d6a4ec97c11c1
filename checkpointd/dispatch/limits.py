"""The limits of a child: what this machine can spare, unless a number is configured."""

from __future__ import annotations

from checkpointd.core.expansion import most_unpacked
from checkpointd.worker.protocol import INSPECT, LOAD, SCAN, Limits

_MiB = 1 << 20
_SCAN_BYTES = 1024 * _MiB
"""The scan streams: it holds a few blocks, however large the checkpoint is."""

_LOAD_LEAST = 1024 * _MiB
_LOAD_ADDRESSES = 2048 * _MiB
"""What TensorFlow maps beside what it uses: stacks, and heaps that it never fills."""

_FILE_BYTES = 64 * _MiB
NO_LIMIT = 1 << 62


def limits_for(
    stage: str,
    size: int,
    memory: int | str,
    timeout: float,
    *,
    spare: int,
    share: int = 1,
    alone: bool = False,
) -> Limits:
    """Bound a child.

    What it may hold (`memory_bytes`) is what a person configures or the machine can spare; the
    daemon ends it beyond that. The kernel's own limit (`data_bytes`) counts what is only mapped
    too, and a request that it refuses looks like any crash: it is wide, and off for a child that
    runs alone, whose crash is then the checkpoint's.

    Args:
        stage: the stage that it runs.
        size: bytes of the checkpoint; of what it holds, unpacked, where that is known.
        memory: bytes configured, or `"auto"`.
        timeout: wall-clock seconds.
        spare: bytes that this machine can spare now.
        share: among how many children.
        alone: whether no other child runs, and it may have all that is free.
    """
    if isinstance(memory, int):
        held = memory
    elif stage == LOAD or alone:
        held = max(spare if alone else spare // share, _LOAD_LEAST)
    else:
        held = _SCAN_BYTES
    data = max(held, spare, _LOAD_ADDRESSES) if stage == LOAD else held
    # The scan unpacks the weights of a compressed archive into a file without a name.
    written = most_unpacked(size) if stage in (SCAN, INSPECT) else size
    return Limits(
        data_bytes=NO_LIMIT if alone else data,
        file_bytes=_FILE_BYTES + written,
        cpu_seconds=int(timeout) + 1,
        memory_bytes=held,
    )
