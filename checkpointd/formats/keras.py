"""`.keras` archives: a zip with `metadata.json`, `config.json` and the weights.

Source: keras/src/saving/saving_lib.py (Keras 3) and the same file of Keras 2.12 and later.
A save that fails with an exception still leaves a well-formed zip: its members show it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from checkpointd.core.format_specs import Format
from checkpointd.formats import bounded_json, content, unpacking, zip_rules, zipfiles
from checkpointd.formats.facts import (
    MALFORMED,
    MISSING_MEMBER,
    NOT_A_CHECKPOINT,
    TRUNCATED,
    FormatError,
    Probe,
    SurplusBytesError,
    complete,
    incomplete,
    unknown,
)
from checkpointd.formats.storage import LOCAL
from checkpointd.formats.unpacking import STORED

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from checkpointd.formats.storage import Storage
    from checkpointd.formats.zipfiles import CentralEntry, Directory

CONFIG, METADATA = "config.json", "metadata.json"
WEIGHTS = ("model.weights.h5", "model.weights.npz", "model.weights.json")
"""One of them holds the weights: Keras's default, the form without h5py, the map of shards."""

_SHORT_TAIL = 128
_PROBE_TAIL = 1024
_PROBE_LONG_TAIL = _PROBE_DIRECTORY = 2800
_WINDOW = (1 << 16) + 22
_MAX_DIRECTORY = 64 << 20
_ALL_16 = 0xFFFF


@dataclass(frozen=True)
class ZipMember:
    """One file in the archive.

    `data_offset` is where its bytes begin in the file; sizes in bytes; `method` as in `unpacking`.
    """

    name: str
    data_offset: int
    size: int
    compressed_size: int
    crc32: int
    method: int


@dataclass(frozen=True)
class Archive:
    """A `.keras` archive: its members in the order of its directory, and its two JSON files.

    `escapes` are the names that would leave the directory that they are unpacked to, and how.
    """

    members: tuple[ZipMember, ...]
    config: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    escapes: tuple[tuple[str, str], ...] = ()

    @property
    def unpacked_bytes(self) -> int:
        """What all members have together, unpacked, by the archive's directory."""
        return sum(member.size for member in self.members)

    def member(self, name: str) -> ZipMember | None:
        """Find a member; `read_archive` lets no two have one name."""
        return next((member for member in self.members if member.name == name), None)


def probe_archive(
    path: str,
    hint: Format,
    size: int,
    head: bytes,
    storage: Storage = LOCAL,
) -> Probe:
    """Return whether a zip is a Keras archive and whether it is whole.

    Args:
        path: the file.
        hint: what its extension promises.
        size: its size in bytes.
        head: its first bytes, at least 43.
        storage: where it is stored.

    Raises:
        OSError: it cannot be read.
    """
    known = _first_name(head) in {METADATA, CONFIG}
    promised = known or hint is not Format.UNKNOWN
    kind = Format.KERAS if known or hint is Format.UNKNOWN else hint

    def read(offset: int, length: int) -> bytes:
        return storage.pread(path, offset, length)

    try:
        directory = zipfiles.find_directory(read, size, _PROBE_TAIL)
        if directory is None:  # a long comment
            directory = zipfiles.find_directory(read, size, _PROBE_LONG_TAIL)
            if directory is None:
                raise _no_end(size)
            return complete(Format.KERAS) if promised else unknown(Format.UNKNOWN)
        data = read(directory.offset, min(directory.size, _PROBE_DIRECTORY))
        seen = {entry.name for entry in zipfiles.entries_of(data)}
        if len(data) == directory.size:
            _check_start(directory, seen, size)
    except FormatError as error:
        return incomplete(kind, error) if promised else unknown(Format.UNKNOWN)
    if len(data) < directory.size:  # an archive of many assets: a child reads all of it
        return complete(Format.KERAS) if promised else unknown(Format.UNKNOWN)
    if not promised and METADATA not in seen:
        return unknown(Format.UNKNOWN)
    try:
        _require(seen)
    except FormatError as error:
        has_both = error.word != NOT_A_CHECKPOINT and {METADATA, CONFIG} <= seen
        return incomplete(kind, error) if promised or has_both else unknown(Format.UNKNOWN)
    return complete(Format.KERAS)


def is_prefixed(path: str, size: int, storage: Storage = LOCAL) -> bool:
    """Whether a file that begins otherwise ends as an archive: zipfile reads it all the same."""
    at = max(0, size - _SHORT_TAIL)
    return zipfiles.EMPTY_SIGNATURE in storage.pread(path, at, size - at)


def read_archive(path: str, storage: Storage = LOCAL) -> Archive:
    """Read the directory of an archive and its two JSON files.

    Raises:
        FormatError: it is cut short, lacks a member that every model has, or is malformed.
        OSError: it cannot be read.
    """
    size = storage.stat(path).size

    def read(offset: int, length: int) -> bytes:
        return storage.pread(path, offset, length)

    directory = zipfiles.find_directory(read, size, _WINDOW)
    if directory is None:
        raise zipfiles.truncated(size)
    if directory.size > _MAX_DIRECTORY:
        raise FormatError(
            MALFORMED, f"The archive's directory has {directory.size} bytes, far too many."
        )
    data = read(directory.offset, directory.size)
    central = tuple(zipfiles.entries_of(data, directory.shift))
    if len(central) & _ALL_16 != directory.entries & _ALL_16:
        raise FormatError(
            MALFORMED,
            f"The archive's directory holds {len(central)} of {directory.entries} entries.",
        )
    _check_start(directory, {entry.name for entry in central}, size)
    members = tuple(_member(path, entry, directory.offset, storage) for entry in central)
    zip_rules.check_entries(
        (entry, member.data_offset + member.compressed_size)
        for entry, member in zip(central, members)
    )
    archive = Archive(members)
    _require({member.name for member in members})
    escapes = ((entry.name, zip_rules.escape_of(entry.name, entry.mode)) for entry in central)
    return Archive(
        members,
        _json(path, archive, CONFIG, storage),
        _metadata(path, archive, storage),
        tuple((name, how) for name, how in escapes if how),
    )


def read_member(path: str, member: ZipMember, limit: int, storage: Storage = LOCAL) -> bytes:
    """Read one small member whole; its checksum is not checked here.

    Args:
        path: the archive.
        member: which one.
        limit: the most bytes that it may have, unpacked.
        storage: where the archive is stored.

    Raises:
        FormatError: it is larger, does not unpack, or is packed in a way that is not known.
        OSError: it cannot be read.
    """
    if member.size > limit:
        raise FormatError(
            MALFORMED, f"{member.name} has {member.size} bytes, more than the {limit} allowed."
        )
    data = storage.pread(path, member.data_offset, member.compressed_size)
    if member.method == STORED:
        return data
    unpacked = bytearray()
    for piece in unpacking.unpack([data], member.method, member.size, member.name):
        unpacked += piece
        if len(unpacked) > member.size:
            break
    if len(unpacked) != member.size:
        raise FormatError(MALFORMED, f"{member.name} unpacks to another size than it declares.")
    return bytes(unpacked)


def _check_start(directory: Directory, names: Collection[str], size: int) -> None:
    """Check that the directory is this archive's, and not that of an archive stored in it.

    Raises:
        FormatError: it counts from elsewhere than the file's first byte, and is no model's:
            `model.weights.npz` is a zip itself, and its end is what a cut may leave last.
    """
    if directory.shift and CONFIG not in names:
        raise zipfiles.truncated(size)


def _first_name(head: bytes) -> str:
    """Read the name in the first local header."""
    if len(head) < zipfiles.LOCAL_BYTES or not head.startswith(zipfiles.LOCAL_SIGNATURE):
        return ""
    length = int.from_bytes(head[26:28], "little")
    return head[zipfiles.LOCAL_BYTES : zipfiles.LOCAL_BYTES + length].decode("ascii", "replace")


def _no_end(size: int) -> FormatError:
    """Make the error of an archive whose end a probe did not find."""
    error = zipfiles.truncated(size)
    return SurplusBytesError(error.word, error.message) if size > _PROBE_LONG_TAIL else error


def _no_weights() -> FormatError:
    return FormatError(
        MISSING_MEMBER,
        "The archive has a configuration and no weights: the save failed after it had begun.",
    )


def _require(names: Collection[str]) -> None:
    if METADATA not in names and CONFIG not in names:
        raise FormatError(NOT_A_CHECKPOINT, f"It is {content.of_archive(names)}.")
    if CONFIG not in names:
        raise FormatError(MISSING_MEMBER, f"The archive has no {CONFIG}.")
    if not any(name in names for name in WEIGHTS):
        raise _no_weights()


def _member(path: str, entry: CentralEntry, end: int, storage: Storage) -> ZipMember:
    """Find an entry's bytes through its local header."""
    if entry.flags & zip_rules.ENCRYPTED:
        raise FormatError(MALFORMED, f"{entry.name!r} in the archive is encrypted.")
    at = entry.header_offset
    header = storage.pread(path, at, zipfiles.LOCAL_BYTES) if at < end else b""
    if len(header) < zipfiles.LOCAL_BYTES or not header.startswith(zipfiles.LOCAL_SIGNATURE):
        raise FormatError(
            MALFORMED, f"{entry.name!r} has no header at the offset that the directory names."
        )
    lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    start = at + zipfiles.LOCAL_BYTES + lengths
    zip_rules.check_header(entry, header, storage.pread(path, at + zipfiles.LOCAL_BYTES, lengths))
    if start + entry.compressed_size > end:
        raise FormatError(TRUNCATED, f"{entry.name!r} reaches beyond the archive's contents.")
    return ZipMember(
        entry.name, start, entry.size, entry.compressed_size, entry.crc32, entry.method
    )


def _metadata(path: str, archive: Archive, storage: Storage) -> Mapping[str, Any]:
    """Read which Keras wrote it; Keras loads an archive without that entry, too."""
    try:
        return _json(path, archive, METADATA, storage)
    except FormatError:
        return {}


def _json(path: str, archive: Archive, name: str, storage: Storage) -> Mapping[str, Any]:
    member = archive.member(name)
    if member is None:
        raise FormatError(MISSING_MEMBER, f"The archive has no {name}.")
    content = bounded_json.parse(
        read_member(path, member, bounded_json.MAX_BYTES, storage), f"{name} in the archive"
    )
    if not isinstance(content, dict):
        raise FormatError(MALFORMED, f"{name} in the archive is no JSON object.")
    return content
