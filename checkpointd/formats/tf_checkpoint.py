"""TensorFlow's checkpoints: a tensor bundle, `PREFIX.index` and `PREFIX.data-NNNNN-of-NNNNN`.

A bundle's writer finishes the shards first and writes the index's footer last.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format
from checkpointd.formats import content, names, table, tf1_format
from checkpointd.formats.bundle import (
    NO_HEADER,
    OBJECT_GRAPH,
    BundleIndex,
    TensorEntry,
    index_of,
    is_model,
    missing_bytes,
    read_index,
    shard_path,
    shard_suffix,
)
from checkpointd.formats.facts import (
    MALFORMED,
    MISSING_MEMBER,
    NOT_A_CHECKPOINT,
    PROBE_BYTES,
    UNREADABLE,
    FormatError,
    Probe,
    complete,
    incomplete,
    unknown,
)
from checkpointd.formats.storage import LOCAL
from checkpointd.formats.unfinished import UNFINISHED, is_unfinished

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.core.checkpoint import Member
    from checkpointd.formats.facts import Candidate
    from checkpointd.formats.storage import Storage

__all__ = [
    "OBJECT_GRAPH",
    "BundleIndex",
    "TensorEntry",
    "explain",
    "is_model",
    "missing_bytes",
    "probe",
    "probe_bundle",
    "read_index",
    "shard_path",
    "shard_suffix",
]

_HEAD_BYTES = 64
_MAX_UNFOLDED = 1 << 20


def probe(candidate: Candidate, storage: Storage = LOCAL) -> Probe:
    """Return whether a prefix is a checkpoint and whether it is whole.

    It is certain when the footer is there, every shard is, with the sizes that the index names as
    far as 4 KiB of it show, and no shard is newer than the index: a writer that saves to the same
    prefix again, or a copy that is under way, leaves a newer one.

    Raises:
        OSError: it cannot be read.
    """
    if tf1_format.is_alone(candidate.generation):
        return complete(Format.TF_CHECKPOINT)
    members = {member.name: member for member in candidate.generation.members}
    try:
        certain, model = probe_bundle(candidate.path, members, storage)
    except FormatError as error:
        if error.word == UNREADABLE:
            return complete(Format.TF_CHECKPOINT)
        explained = explain(error, candidate.path, members, storage)
        index = members[".index"] if set(members) == {".index"} else None
        if index is not None and not _is_meant(candidate.path, index, explained, storage):
            return unknown(Format.TF_CHECKPOINT, "A file called .index that is no table.")
        return incomplete(Format.TF_CHECKPOINT, explained)
    if not model:
        return unknown(Format.TF_CHECKPOINT, "A bundle of tensors without names: a tf.data cache.")
    return complete(Format.TF_CHECKPOINT, certain=certain)


def explain(
    error: FormatError, prefix: str, members: Mapping[str, Member], storage: Storage
) -> FormatError:
    """Explain why a bundle cannot be read, where one of its files is something else altogether.

    Raises:
        OSError: a file cannot be read.
    """
    if error.word == MISSING_MEMBER:
        return error
    if ".index" in members:
        instead = content.of_file(prefix + ".index", storage, _read_of(members[".index"]))
        if instead.description:
            return content.not_a_checkpoint("The .index file", instead)
        if error.message == NO_HEADER:
            return FormatError(
                NOT_A_CHECKPOINT, "The .index file is a table of other things than tensors."
            )
    for name in members:
        instead = content.of_file(prefix + name, storage) if ".data-" in name else content.Content()
        if instead.stand_in:
            return content.not_a_checkpoint(f"The shard {name}", instead)
    return error


def _read_of(index: Member) -> int:
    return index.size if index.size <= PROBE_BYTES else table.FOOTER_BYTES + _HEAD_BYTES


def _is_meant(prefix: str, index: Member, error: FormatError, storage: Storage) -> bool:
    """Whether an index that is alone and cannot be read was one of a checkpoint.

    Other programs use that name for their files, too; it is one by its prefix, by its footer, or
    as what was put in its place.
    """
    if error.word == MISSING_MEMBER or names.CALLED_SO.search(os.path.basename(prefix)):
        return True
    path, size = prefix + ".index", index.size
    tail = storage.pread(path, max(0, size - len(table.MAGIC)), len(table.MAGIC))
    return tail == table.MAGIC or content.of_file(path, storage, _read_of(index)).stand_in


def probe_bundle(prefix: str, members: Mapping[str, Member], storage: Storage) -> tuple[bool, bool]:
    """Read a bundle's edges; return whether it is certainly whole, and whether it is a model.

    Args:
        prefix: the bundle's path.
        members: its files, by what is appended to the prefix.
        storage: where it is stored.

    Raises:
        FormatError: it is not whole.
        OSError: it cannot be read.
    """
    index = members.get(".index")
    if index is None:
        if is_unfinished(members):
            raise FormatError(MISSING_MEMBER, UNFINISHED)
        raise FormatError(
            MISSING_MEMBER, "The .index file is not there, it is written after the shards."
        )
    small = index.size <= PROBE_BYTES
    path = prefix + ".index"
    if small:
        data = storage.pread(path, 0, index.size)

        def read(offset: int, size: int) -> bytes:
            return data[offset : offset + size]

        bundle = index_of(table.read_entries(read, len(data), limit=_MAX_UNFOLDED))
    else:
        tail = storage.pread(path, index.size - table.FOOTER_BYTES, table.FOOTER_BYTES)
        table.parse_footer(tail, index.size)
        first = table.first_entry(storage.pread(path, 0, _HEAD_BYTES))
        if first is None or first[0]:
            raise FormatError(MALFORMED, "The index does not begin with a bundle's header.")
        bundle = index_of([first])
    sizes = {
        shard: members[shard_suffix(shard, bundle.num_shards)].size
        for shard in range(bundle.num_shards)
        if shard_suffix(shard, bundle.num_shards) in members
    }
    wrong = missing_bytes(bundle, sizes)
    if wrong is not None:
        raise wrong
    newest = max(
        (members[shard_suffix(shard, bundle.num_shards)].mtime_ns for shard in sizes), default=0
    )
    return newest <= index.mtime_ns, not small or is_model(bundle)
