"""The small files of a SavedModel: their checksums in one report, and what differs in the next.

A writer that saves over an older model writes them again: what differs in one byte alone, in the
file that was there, was changed by no save.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import google_crc32c

from checkpointd.core.format_specs import Format
from checkpointd.formats import member_path
from checkpointd.formats.graph import GRAPH, VARIABLES
from checkpointd.formats.savedmodel import FINGERPRINT, KERAS_METADATA
from checkpointd.tensors.one_byte import CRC32, CRC32C, Difference, chance_of_one_byte
from checkpointd.tensors.source import opened
from checkpointd.tensors.stream import BLOCK

if TYPE_CHECKING:
    from checkpointd.core.checkpoint import Member
    from checkpointd.core.request import Request

_NAMES = (GRAPH, VARIABLES + ".index", FINGERPRINT, KERAS_METADATA)
_MOST_BYTES = 256 << 20
_CERTAIN = 1e-6


def checksums(request: Request, format: Format) -> dict[str, str]:
    """Return the CRC32C and the CRC32 of the small files of a SavedModel; of others nothing.

    Raises:
        OSError: it could not be read.
    """
    if format is not Format.SAVEDMODEL:
        return {}
    path = request.checkpoint.path
    return {
        m.name: "{:08x}:{:08x}".format(*_checksums_of(member_path(path, m.name)))
        for m in request.generation.members
        if m.name in _NAMES and m.size <= _MOST_BYTES
    }


def has_changed_byte(request: Request) -> bool:
    """Whether the small files are those that were read whole before, but for a single byte.

    Raises:
        OSError: it could not be read.
    """
    former = request.former
    if former is None or not former.facts.checksums:
        return False
    before = {m.name: m for m in former.generation.members}
    now = {m.name: m for m in request.generation.members}
    found = False
    for name, text in former.facts.checksums.items():
        old, new = before.get(name), now.get(name)
        if old is None or new is None or not is_same_file(old, new):
            return False
        if (old.mtime_ns, old.ctime_ns) == (new.mtime_ns, new.ctime_ns):
            continue
        stored = [int(part, 16) for part in text.split(":")]
        crc32c, crc32 = _checksums_of(member_path(request.checkpoint.path, name))
        if [crc32c, crc32] == stored:
            continue
        differences = (
            Difference(CRC32C, crc32c ^ stored[0]),
            Difference(CRC32, crc32 ^ stored[1]),
        )
        chance = chance_of_one_byte(new.size, differences)
        if chance is None or chance > _CERTAIN:
            return False
        found = True
    return found


def is_same_file(old: Member, new: Member) -> bool:
    """Whether no writer has put another file, or one of another length, in its place."""
    return (old.device, old.inode, old.size) == (new.device, new.inode, new.size)


def _checksums_of(path: str) -> tuple[int, int]:
    crc32c = crc32 = 0
    with opened(path) as source:
        for at in range(0, source.size, BLOCK):
            data = source.read(at, min(BLOCK, source.size - at))
            crc32c = google_crc32c.extend(crc32c, data)
            crc32 = zlib.crc32(data, crc32)
    return crc32c, crc32
