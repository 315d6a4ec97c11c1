"""Whether content that does not fit together is damage, and no save that still goes on.

A save over an older one, or a copy of one, replaces a bundle's shards before its index. Until the
index follows, its checksums are those of the older save, and nothing that training has changed
matches them. Where everything matches but one tensor, shards and index are of one save: nothing
will follow that mends that tensor, unless it is still being filled in. What fills a shard in place
comes to its last tensor at the end, and leaves zeros where it has only reserved the space.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.formats import Candidate, temporaries
from checkpointd.formats.bundle import shard_path
from checkpointd.tensors.source import opened

if TYPE_CHECKING:
    from checkpointd.tensors import TensorStats
    from checkpointd.tensors.bundle import BundlePlan, Stored
    from checkpointd.verify.scan.scan_context import ScanContext

_BLOCK = 4096
_READ_BLOCKS = 256
_TELLING_BYTES = 16


def is_of_one_save(context: ScanContext) -> bool:
    """Return whether all parts are of one save, and one tensor was damaged after it.

    Raises:
        OSError: it could not be read.
    """
    planned, contents = context.planned, context.contents
    if planned is None or contents is None or len(planned.bundles) != 1:
        return False
    bundle = planned.bundles[0][1]
    names = {problem.tensor for problem in contents.problems}
    damaged = [stored for stored in bundle.stored if stored.spec.name in names]
    if len(names) != 1 or len(damaged) != 1 or _is_last(bundle, damaged[0]):
        return False
    others = [tensor for tensor in contents.tensors if tensor.name not in names]
    if not any(_tells(tensor) for tensor in others):
        return False
    checkpoint = context.request.checkpoint
    found = Candidate(checkpoint.path, checkpoint.format, context.request.generation)
    return not temporaries(found) and not _has_gaps(bundle, damaged[0])


def _tells(tensor: TensorStats) -> bool:
    """Whether its content shows of which save it is: short ones and zeros are in many."""
    return tensor.size_bytes >= _TELLING_BYTES and bool(tensor.sum_of_squares)


def _is_last(bundle: BundlePlan, stored: Stored) -> bool:
    """Whether no other tensor comes after it in its shard."""
    entry = stored.entry
    return not any(
        other.entry.shard == entry.shard and other.entry.offset > entry.offset
        for other in bundle.stored
    )


def _has_gaps(bundle: BundlePlan, stored: Stored) -> bool:
    """Whether a tensor has a block of zeros: what a copy has reserved and not yet written."""
    entry = stored.entry
    end = entry.offset + entry.size
    with opened(shard_path(bundle.prefix, entry.shard, bundle.index.num_shards)) as source:
        at = -(-entry.offset // _BLOCK) * _BLOCK
        while at < end:
            data = source.read(at, min(_BLOCK * _READ_BLOCKS, source.size - at, end - at))
            if not data:
                return True
            for start in range(0, len(data), _BLOCK):
                if not data[start : start + _BLOCK].strip(b"\0"):
                    return True
            at += len(data)
    return False
