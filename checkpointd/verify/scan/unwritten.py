"""Space that is reserved and not yet written: a copy into it is not finished, though it looks so.

A program that copies or downloads may give a file its whole size first and fill it in later, in any
order, with the times of other files newer than its own (`fallocate`, `aria2c`, `rsync
--preallocate`, a network file system that writes pages back late). What is not written reads as
zeros.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format
from checkpointd.formats import member_path
from checkpointd.formats.bundle import shard_path
from checkpointd.tensors.source import opened

if TYPE_CHECKING:
    from checkpointd.tensors.bundle import BundlePlan, Stored
    from checkpointd.verify.scan.scan_context import ScanContext

BLOCK = 4096
READ_BLOCKS = 256

_HDF5 = (Format.HDF5, Format.HDF5_WEIGHTS)


def has_unwritten_space(context: ScanContext) -> bool:
    """Return whether what is wrong with it may be that it is still being filled in.

    Raises:
        OSError: it could not be read.
    """
    planned, contents = context.planned, context.contents
    path = context.request.checkpoint.path
    names = {problem.tensor for problem in contents.problems} if contents is not None else set()
    for _, bundle in planned.bundles if planned is not None else ():
        if any(has_gap(bundle, s) for s in bundle.stored if s.spec.name in names):
            return True
    ends_in_zeros = context.facts.format in _HDF5
    return any(
        _is_unwritten(member_path(path, m.name), ends_in_zeros=ends_in_zeros)
        for m in context.request.generation.members
        if m.size
    )


def has_holes(context: ScanContext) -> bool:
    """Return whether a file without checksums has space that nothing was ever written to.

    What would be read there are weights of zero.

    Raises:
        OSError: it could not be read.
    """
    path = context.request.checkpoint.path
    return context.facts.format in _HDF5 and any(
        _is_unwritten(member_path(path, m.name), ends_in_zeros=False)
        for m in context.request.generation.members
        if m.size
    )


def has_gap(bundle: BundlePlan, stored: Stored) -> bool:
    """Return whether a tensor has a part in a block of zeros: what may not be written yet.

    Raises:
        OSError: it could not be read.
    """
    entry = stored.entry
    with opened(shard_path(bundle.prefix, entry.shard, bundle.index.num_shards)) as source:
        end = min(source.size, -(-(entry.offset + entry.size) // BLOCK) * BLOCK)
        at = entry.offset // BLOCK * BLOCK
        while at < end:
            data = source.read(at, min(BLOCK * READ_BLOCKS, end - at))
            for start in range(0, len(data), BLOCK):
                if not data[start : start + BLOCK].strip(b"\0"):
                    return True
            at += len(data)
    return False


def _is_unwritten(path: str, *, ends_in_zeros: bool) -> bool:
    try:
        with opened(path) as source:
            if source.first_hole() < source.size:
                return True
            end = min(source.size, BLOCK)
            return ends_in_zeros and not source.read(source.size - end, end).strip(b"\0")
    except FileNotFoundError:  # gone meanwhile: it is another generation
        return False
