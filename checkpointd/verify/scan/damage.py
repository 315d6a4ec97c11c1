"""Whether content that does not fit together is damage, and no save that still goes on.

A save over an older one, or a copy of one, replaces a bundle's shards before its index. Until the
index follows, its checksums are those of the older save, and nothing that training has changed
matches them. Where everything matches but one tensor, shards and index are of one save: nothing
will follow that repairs that tensor, unless it is still being filled in. What fills a new shard in
place comes to its last tensor at the end, and leaves zeros where it has only reserved the space.

Where each tensor that does not match differs in one byte from what the index describes, or a small
file from what it was when it was read before, no writer has been at work: training changes every
value that it changes at all.

Where a file was written into that was read whole before, values of the earlier save in front of
damaged ones show that no copy has come past them: one that replaces a shard in place begins at its
beginning. Only tensors that training changes show it, where it is known which these are. That goes
for one damaged tensor; for several, which a copy in several parts may leave, once it is idle.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from checkpointd.formats import Candidate, temporaries
from checkpointd.formats.bundle import shard_path, shard_suffix
from checkpointd.tensors.baseline import model_tensors, unpack
from checkpointd.tensors.bundle_tallies import tally_for
from checkpointd.tensors.checksums import Block
from checkpointd.tensors.one_byte import CRC32, CRC32C, Difference, chance_of_one_byte
from checkpointd.tensors.source import opened
from checkpointd.verify.scan.small_members import has_changed_byte, is_same_file
from checkpointd.verify.scan.unwritten import BLOCK, READ_BLOCKS, has_gap

if TYPE_CHECKING:
    from checkpointd.core.request import Request
    from checkpointd.tensors import TensorStats
    from checkpointd.tensors.bundle import BundlePlan, Stored
    from checkpointd.verify.scan.scan_context import ScanContext

_TELLING_BYTES = 16
_MOST_DAMAGED = 16
_CERTAIN = 1e-3
"""How likely other weights may look like changed bytes, where half of a save is rare as it is."""


def is_damaged(context: ScanContext) -> bool:
    """Return whether it was damaged after it was saved, so that no writer will repair it.

    Raises:
        OSError: it could not be read.
    """
    checkpoint, generation = context.request.checkpoint, context.request.generation
    if temporaries(Candidate(checkpoint.path, checkpoint.format, generation)):
        return False
    return has_changed_byte(context.request) or _has_damaged_tensors(context)


def _has_damaged_tensors(context: ScanContext) -> bool:
    planned, contents = context.planned, context.contents
    if planned is None or contents is None or len(planned.bundles) != 1:
        return False
    member, bundle = planned.bundles[0]
    names = {problem.tensor for problem in contents.problems}
    damaged = [stored for stored in bundle.stored if stored.spec.name in names]
    if not damaged or len(names) != len(damaged):
        return False
    is_known = _is_unchanged(context.request, f"{member}.index")
    if is_known and (len(damaged) == 1 or context.request.idle):
        if _is_written_into(context, member, bundle, damaged):
            return True
    elif len(damaged) == 1 and not _is_last(bundle, damaged[0]):
        others = [tensor for tensor in contents.tensors if tensor.name not in names]
        if any(_tells(tensor) for tensor in others) and not has_gap(bundle, damaged[0]):
            return True
    former = _checksums(context, damaged) if is_known else {}
    return _chance_of_other_weights(bundle, damaged, former) <= _CERTAIN


def _is_unchanged(request: Request, name: str) -> bool:
    """Whether a member is the very file that was there when all was read whole."""
    former = request.former
    if former is None:
        return False
    now = [member for member in request.generation.members if member.name == name]
    return bool(now) and all(member in former.generation.members for member in now)


def _is_written_into(
    context: ScanContext, member: str, bundle: BundlePlan, damaged: list[Stored]
) -> bool:
    """Whether values of the save that was read whole before stand in front of damaged ones."""
    former = context.request.former
    before = {m.name: m for m in former.generation.members} if former else {}
    now = {m.name: m for m in context.request.generation.members}
    whole = _trained(context) - {stored.spec.name for stored in damaged}
    for shard in {stored.entry.shard for stored in damaged}:
        name = member + shard_suffix(shard, bundle.index.num_shards)
        if name not in before or not is_same_file(before[name], now[name]):
            return False
        kept = [
            s.entry.offset for s in bundle.stored if s.entry.shard == shard and s.spec.name in whole
        ]
        last = max(s.entry.offset for s in damaged if s.entry.shard == shard)
        if not kept or min(kept) > last:
            return False
    return not any(has_gap(bundle, stored) for stored in damaged)


def _trained(context: ScanContext) -> set[str]:
    """The tensors by which one save of a model differs from another.

    All whose content says something, or of these those that differ in the two that are known.
    """
    request, contents = context.request, context.contents
    tensors = contents.tensors if contents is not None else ()
    packed = request.previous.facts.tensors if request.previous else ""
    own = request.former.facts.tensors if request.former else ""
    if request.previous is None or packed == own:  # where a series has no other, it is its own
        return {tensor.name for tensor in tensors if _tells(tensor)}
    previous, former = unpack(packed), unpack(own)
    if previous is None or former is None:
        return set()
    return {
        tensor.name
        for name, tensor in model_tensors(tensors).items()
        if _tells(tensor)
        and name in previous.weights
        and name in former.weights
        and previous.weights[name].crc32 != former.weights[name].crc32
    }


def _checksums(context: ScanContext, damaged: list[Stored]) -> dict[str, int]:
    """How the CRC32 of each damaged tensor differs from that of when all was read whole."""
    former, contents = context.request.former, context.contents
    known = unpack(former.facts.tensors) if former else None
    if known is None or contents is None:
        return {}
    names = {stored.spec.name for stored in damaged}
    return {
        tensor.name: tensor.crc32 ^ known.weights[name].crc32
        for name, tensor in model_tensors(contents.tensors).items()
        if tensor.name in names and name in known.weights
    }


def _chance_of_other_weights(
    bundle: BundlePlan, damaged: list[Stored], former: dict[str, int]
) -> float:
    """How likely the weights of another save look as if one byte of each had been changed.

    What counts (steps, the state of random generators) may change in one byte from save to save,
    so it says nothing, unless more of it has changed.
    """
    if len(damaged) > _MOST_DAMAGED or bundle.index.big_endian:
        return 1.0
    chances = []
    for stored in damaged:
        spec, size = stored.spec, stored.entry.size
        differences = [Difference(CRC32C, _crc32c(bundle, stored) ^ stored.entry.crc32c)]
        if spec.name in former:
            differences.append(Difference(CRC32, former[spec.name]))
        chance = chance_of_one_byte(size, tuple(differences))
        if chance is None:
            return 1.0
        is_weight = spec.dtype.startswith(("float", "bfloat", "complex"))
        chances.append(chance if is_weight and size >= _TELLING_BYTES else 1.0)
    return math.prod(chances)


def _crc32c(bundle: BundlePlan, stored: Stored) -> int:
    """The CRC32C of a tensor as it is now, computed as that of the index was."""
    entry, tally = stored.entry, tally_for(stored.spec, big_endian=False)
    with opened(shard_path(bundle.prefix, entry.shard, bundle.index.num_shards)) as source:
        end = entry.offset + entry.size
        for at in range(entry.offset, end, BLOCK * READ_BLOCKS):
            data = source.read(at, min(BLOCK * READ_BLOCKS, end - at))
            tally.feed(Block(np.frombuffer(data, np.uint8)))
    return tally.crc32c


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
