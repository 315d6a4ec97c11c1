"""The edges of a zip archive: the end-of-central-directory record and the central directory.

Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3.12 to 4.3.16 and 4.5.3 (Zip64).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.formats.facts import CUT_SHORT, MALFORMED, TRUNCATED, FormatError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOCAL_SIGNATURE = b"PK\x03\x04"
EMPTY_SIGNATURE = b"PK\x05\x06"
LOCAL_BYTES = 30
"""The fixed part of a local file header."""

_END = struct.Struct("<4s4H2IH")
_END64_LOCATOR = struct.Struct("<4sIQI")
_END64 = struct.Struct("<4sQ2H2I4Q")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_CENTRAL_SIGNATURE = b"PK\x01\x02"
_ALL_16, _ALL_32 = 0xFFFF, 0xFFFFFFFF
_ZIP64_FIELD = 1
_UTF8_FLAG = 0x800
_UNIX = 3


@dataclass(frozen=True)
class Directory:
    """Where the central directory is: its first byte, its size in bytes, how many entries.

    `shift` is how many bytes are before the archive's own first byte.
    """

    offset: int
    size: int
    entries: int
    shift: int


@dataclass(frozen=True)
class CentralEntry:
    """One entry of the central directory; sizes in bytes, `mode` as Unix has it or 0."""

    name: str
    raw_name: bytes
    header_offset: int
    compressed_size: int
    size: int
    crc32: int
    method: int
    flags: int
    mode: int


def find_directory(read: Callable[[int, int], bytes], size: int, window: int) -> Directory | None:
    """Find the central directory from the end of the archive.

    Args:
        read: gives bytes from an offset, fewer at the end of the file.
        size: the archive's size in bytes.
        window: how many bytes at the end are searched.

    Returns:
        Where it is, or None if no end-of-central-directory record is in the window.

    Raises:
        FormatError: the record contradicts the file, or another one follows or precedes it where
            more than zeros follow it: of two records readers take this one or that.
    """
    start = max(0, size - window)
    tail = read(start, size - start)
    at = tail.rfind(EMPTY_SIGNATURE)
    if at < 0 or len(tail) - at < _END.size:
        return None
    record = _END.unpack_from(tail, at)
    rest = at + _END.size + record[7]
    if rest > len(tail):
        return None
    if tail[rest:].strip(b"\0") and tail.count(EMPTY_SIGNATURE) > 1:
        raise FormatError(MALFORMED, "The archive's file goes on after the archive's end.")
    end = start + at
    entries, length, offset = record[4], record[5], record[6]
    locator_at = end - _END64_LOCATOR.size
    locator = read(locator_at, _END64_LOCATOR.size) if locator_at >= 0 else b""
    if locator.startswith(b"PK\x06\x07"):
        position = _END64_LOCATOR.unpack(locator)[2]
        # Python's zipfile takes what is right before the locator, whatever that points to.
        for candidate in (locator_at - _END64.size, position):
            data = read(candidate, _END64.size) if 0 <= candidate < size else b""
            if len(data) == _END64.size and data.startswith(b"PK\x06\x06"):
                fields = _END64.unpack(data)
                entries, length, offset, end = fields[7], fields[8], fields[9], candidate
                break
        else:
            raise FormatError(MALFORMED, "The archive's Zip64 end record is not where it belongs.")
    elif _ALL_32 in (length, offset) or entries == _ALL_16:
        raise FormatError(MALFORMED, "The archive's Zip64 end record is missing.")
    actual = end - length
    if actual < 0 or offset > actual:
        raise FormatError(
            MALFORMED, "The archive's end record points outside the file: bytes are missing."
        )
    return Directory(actual, length, entries, actual - offset)


def entries_of(data: bytes, shift: int = 0) -> Iterator[CentralEntry]:
    """Read entries of a central directory, as far as `data` goes, however many were announced.

    Args:
        data: the directory, or its beginning.
        shift: how many bytes are before the archive's own first byte.

    Raises:
        FormatError: one is malformed.
    """
    at = 0
    while at + _CENTRAL.size <= len(data):
        fields = _CENTRAL.unpack_from(data, at)
        if fields[0] != _CENTRAL_SIGNATURE:
            raise FormatError(MALFORMED, "The archive's central directory is damaged.")
        flags, method, crc32, compressed, size = (fields[i] for i in (3, 4, 7, 8, 9))
        name_size, extra_size, comment_size, offset = (fields[i] for i in (10, 11, 12, 16))
        name_end = at + _CENTRAL.size + name_size
        extra = data[name_end : name_end + extra_size]
        if name_end + extra_size > len(data):
            return
        raw = data[at + _CENTRAL.size : name_end]
        name = raw.decode("utf-8" if flags & _UTF8_FLAG else "cp437", "surrogateescape")
        size, compressed, offset = _zip64(extra, (size, compressed, offset))
        offset += shift
        mode = fields[15] >> 16 if fields[1] >> 8 == _UNIX else 0
        yield CentralEntry(name, raw, offset, compressed, size, crc32, method, flags, mode)
        at = name_end + extra_size + comment_size


def _zip64(extra: bytes, values: tuple[int, int, int]) -> tuple[int, int, int]:
    """Replace the fields that did not fit into 32 bits by those of the Zip64 extra field."""
    wide = b""
    while len(extra) >= 4:  # noqa: PLR2004 - a field's identifier and size
        kind, length = struct.unpack_from("<2H", extra)
        if kind == _ZIP64_FIELD:
            wide = extra[4 : 4 + length]
        extra = extra[4 + length :]
    result = []
    for value in values:
        if value == _ALL_32:
            if len(wide) < 8:  # noqa: PLR2004 - a 64-bit number
                raise FormatError(MALFORMED, "An entry's Zip64 sizes are missing in the archive.")
            result.append(int.from_bytes(wide[:8], "little"))
            wide = wide[8:]
        else:
            result.append(value)
    return result[0], result[1], result[2]


def truncated(size: int) -> FormatError:
    """Make the error of an archive without an end."""
    return FormatError(
        TRUNCATED, f"The archive has {size} bytes and no central directory{CUT_SHORT}"
    )


def zip64_sizes(extra: bytes, size: int, compressed: int) -> tuple[int, int]:
    """Resolve the two sizes of a local header, which may be in its extra field.

    Raises:
        FormatError: they ought to be there, and are not.
    """
    size, compressed, _ = _zip64(extra, (size, compressed, 0))
    return size, compressed
