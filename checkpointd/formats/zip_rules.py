"""What makes a zip archive ambiguous or hostile: readers differ in what is in it, names lead out.

Sources: PKWARE APPNOTE.TXT 6.3.10 (4.3.7, 4.4), CVE-2026-12479 and GHSA-hqp4-2352-xf5r (names that
leave the directory), D. Fifield, "A better zip bomb" (2019; entries that share bytes). Python's
zipfile, which Keras reads with, ends a name at its first NUL and takes the last of two entries.
"""

from __future__ import annotations

import posixpath
import re
import stat
from typing import TYPE_CHECKING

from checkpointd.formats.facts import MALFORMED, FormatError
from checkpointd.formats.zipfiles import zip64_sizes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.formats.zipfiles import CentralEntry

ENCRYPTED = 0x1 | 0x40 | 0x2000
"""The flags of encryption, of strong encryption, and of masked headers."""

_SIZES_FOLLOW = 0x8
_DRIVE = re.compile(r"[A-Za-z]:")


def escape_of(name: str, mode: int = 0) -> str:
    """Return how unpacking an entry would leave the directory that it is unpacked to; or nothing.

    Args:
        name: as the archive has it.
        mode: its Unix mode, 0 if it has none.
    """
    if stat.S_ISLNK(mode):
        return "is a symbolic link"
    if "\0" in name:
        return "has a name with a NUL in it, which ends it for some readers"
    name = name.replace("\\", "/")  # a separator for readers on Windows
    if name.startswith("/") or _DRIVE.match(name):
        return "has an absolute name"
    return "has a name that climbs out of its directory" if ".." in name.split("/") else ""


def check_entries(entries: Iterable[tuple[CentralEntry, int]]) -> None:
    """Check that no two entries share a name or bytes.

    Args:
        entries: each with the offset at which its bytes end.

    Raises:
        FormatError: two would be unpacked over each other, or share bytes.
    """
    places: list[tuple[int, int, str]] = []
    seen: set[str] = set()
    for entry, end in entries:
        name = posixpath.normpath(entry.name) + ("/" if entry.name.endswith("/") else "")
        if name in seen:
            raise FormatError(
                MALFORMED,
                f"The archive holds {entry.name!r} twice: readers differ in which counts.",
            )
        seen.add(name)
        places.append((entry.header_offset, end, entry.name))
    places.sort()
    for (_, end, one), (start, _, other) in zip(places, places[1:]):
        if start < end:
            raise FormatError(MALFORMED, f"{one!r} and {other!r} in the archive share bytes.")


def check_header(entry: CentralEntry, header: bytes, rest: bytes) -> None:
    """Check that an entry's local header agrees with the directory.

    Args:
        entry: the directory's.
        header: the fixed part of the local header, of LOCAL_BYTES.
        rest: name and extra field, which follow it.

    Raises:
        FormatError: they differ: a reader of the one sees another archive than one of the other.
    """
    length = int.from_bytes(header[26:28], "little")
    flags, method = (int.from_bytes(header[at : at + 2], "little") for at in (6, 8))
    crc32, compressed, size = (int.from_bytes(header[at : at + 4], "little") for at in (14, 18, 22))
    agree = rest[:length] == entry.raw_name and method == entry.method
    if not flags & _SIZES_FOLLOW:
        size, compressed = zip64_sizes(rest[length:], size, compressed)
        stored = (entry.crc32, entry.compressed_size, entry.size)
        agree = agree and (crc32, compressed, size) == stored
    if not agree:
        raise FormatError(
            MALFORMED, f"{entry.name!r}: its own header contradicts the archive's directory."
        )
