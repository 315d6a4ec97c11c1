"""`.keras` archives: every member's CRC32 and the tensors inside, in one pass over the file.

Keras stores members uncompressed, so the HDF5 file inside is read where it is. A compressed
member is unpacked first, through a bounded buffer, into a temporary file that has no name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from checkpointd.core.expansion import most_unpacked
from checkpointd.formats import FormatError
from checkpointd.formats.facts import MALFORMED
from checkpointd.formats.keras import Archive, ZipMember, read_archive
from checkpointd.formats.unpacking import STORED, unpack
from checkpointd.tensors import (
    MemberDigest,
    MembersRead,
    Problem,
    TensorSpec,
    TensorStats,
    hdf5,
    npz,
)
from checkpointd.tensors.checksums import Checksum, crc32
from checkpointd.tensors.source import Source, opened
from checkpointd.tensors.stream import BLOCK, ByteRange, stream
from checkpointd.tensors.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

_SPARE = 2
"""How many times a member's size has to be free where it is unpacked: others write there too."""


@dataclass(frozen=True)
class ArchivedHDF5:
    """An HDF5 file in an archive: at `base` in it, or in a temporary file if it was compressed."""

    member: ZipMember
    layout: hdf5.Layout
    unpacked: Source | None

    @property
    def base(self) -> int:
        """Where it begins in the file that holds it."""
        return 0 if self.unpacked is not None else self.member.data_offset


@dataclass(frozen=True)
class ArchivePlan:
    """An archive ready to be read; `problems` are those of its compressed members.

    `unpacked_bytes` is what its members, and the arrays of an `.npz` among them, would take in
    memory. Where that is more than any model's, nothing was unpacked and `inside` is empty.
    """

    path: str
    archive: Archive
    inside: tuple[ArchivedHDF5, ...]
    problems: tuple[Problem, ...]
    unpacked_bytes: int

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """The tensors in it."""
        return tuple(d.spec for i in self.inside for d in i.layout.datasets)

    def close(self) -> None:
        """Delete the temporary files of compressed members."""
        for item in self.inside:
            if item.unpacked is not None:
                item.unpacked.close()


def plan(path: str) -> ArchivePlan:
    """Look at where everything is in a `.keras` archive.

    Raises:
        FormatError: the archive, or the HDF5 file inside, is truncated or broken.
        OSError: it could not be read.
    """
    archive = read_archive(path)
    inside: list[ArchivedHDF5] = []
    problems: list[Problem] = []
    total = archive.unpacked_bytes
    with contextlib.ExitStack() as on_failure, opened(path) as source:
        if total > most_unpacked(source.size):
            return ArchivePlan(path, archive, (), (), total)
        for member in archive.members:
            unpacked = None
            if member.method != STORED:
                unpacked, problem = _unpack(source, member)
                if unpacked is None or problem is not None:
                    problems += [problem] if problem is not None else []
                    continue
                on_failure.callback(unpacked.close)
            if member.name.endswith(".h5"):
                inside.append(ArchivedHDF5(member, _layout(source, member, unpacked), unpacked))
                continue
            if member.name.endswith(".npz"):
                total += npz.array_bytes(window_of(source, member, unpacked), member.name)
            if unpacked is not None:
                unpacked.close()
        on_failure.pop_all()
    return ArchivePlan(path, archive, tuple(inside), tuple(problems), total)


def read(planned: ArchivePlan) -> tuple[tuple[TensorStats, ...], MembersRead]:
    """Read every byte of the archive once, and what was unpacked from it.

    Raises:
        OSError: it could not be read.
    """
    whole = Checksum()
    stored = _stored(planned)
    members = [ByteRange(m.data_offset, m.size, check) for m, check in stored]
    counted = [(i, *hdf5.pieces_of(i.layout, i.base)) for i in planned.inside]
    tensors = [p for i, _, pieces in counted if i.unpacked is None for p in pieces]
    with opened(planned.path) as source:
        layers = [sorted(layer, key=lambda p: p.offset) for layer in (members, tensors)]
        stream(source, [[ByteRange(0, source.size, whole)], *layers])
        problems = [*planned.problems, *_mismatches(stored)]
        for item, tallies, pieces in counted:
            if item.unpacked is not None:
                stream(item.unpacked, [pieces])
            if not problems and any(d.offset is None for d in item.layout.datasets):
                with hdf5.open_hdf5(window_of(source, item.member, item.unpacked)) as handle:
                    problems += hdf5.read_rest(handle, item.layout, tallies)
    digest = MemberDigest("", whole.size, whole.crc32c)
    results = tuple(t.result() for _, tallies, _ in counted for t in tallies)
    return results, MembersRead((digest,), tuple(problems))


def problems(planned: ArchivePlan) -> tuple[Problem, ...]:
    """Check an archive's parts against their CRC32, without parsing them.

    Raises:
        OSError: it could not be read.
    """
    stored = _stored(planned)
    members = [ByteRange(m.data_offset, m.size, check) for m, check in stored]
    with opened(planned.path) as source:
        stream(source, [sorted(members, key=lambda p: p.offset)])
    return (*planned.problems, *_mismatches(stored))


def _stored(planned: ArchivePlan) -> list[tuple[ZipMember, Checksum]]:
    members = planned.archive.members
    return [(m, Checksum(with_crc32=True)) for m in members if m.method == STORED]


def _mismatches(checked: list[tuple[ZipMember, Checksum]]) -> list[Problem]:
    return [_mismatch(m) for m, check in checked if check.crc32 != m.crc32]


def _layout(source: Source, member: ZipMember, unpacked: Source | None) -> hdf5.Layout:
    with hdf5.open_hdf5(window_of(source, member, unpacked)) as handle:
        layout = hdf5.layout(handle, member.size)
    hdf5.pieces_of(layout, 0)
    return layout


def window_of(source: Source, member: ZipMember, unpacked: Source | None) -> Window:
    """Return a member as a file: in the archive, or where it was unpacked."""
    if unpacked is not None:
        return Window(unpacked, 0, member.size)
    return Window(source, member.data_offset, member.size)


def _mismatch(member: ZipMember) -> Problem:
    return Problem(
        "checksum_mismatch",
        f"The archive's part {member.name!r} is not what was written: its CRC32 differs.",
    )


def _unpack(source: Source, member: ZipMember) -> tuple[Source | None, Problem | None]:
    """Unpack a compressed member into a file without a name, and check its CRC32."""
    scratch = tempfile.gettempdir()
    if shutil.disk_usage(scratch).free < _SPARE * member.size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), scratch)
    target = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - lives as long as the plan
    try:
        sound = _unpacks(source, member, target)
    except BaseException:
        target.close()
        raise
    if not sound:
        target.close()
        return None, _mismatch(member)
    return Source.of(target, source.path), None


def _unpacks(source: Source, member: ZipMember, target: IO[bytes]) -> bool:
    """Unpack a member into a file; whether its size and CRC32 are as recorded."""

    def blocks() -> Iterator[bytes]:
        for start in range(0, member.compressed_size, BLOCK):
            size = min(BLOCK, member.compressed_size - start)
            yield source.read(member.data_offset + start, size)

    crc = size = 0
    try:
        for data in unpack(blocks(), member.method, member.size, member.name):
            crc, size = crc32(data, crc), size + len(data)
            if size > member.size:
                return False
            target.write(data)
    except FormatError as error:
        if error.word != MALFORMED:
            raise
        return False
    return crc == member.crc32 and size == member.size
