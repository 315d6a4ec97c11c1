"""HDF5 files, from the outside: the superblock states where the file ends.

Source: HDF5 File Format Specification 3.0, II.A "Format Signature and Superblock". A file that
was flushed and is still open looks complete, so no HDF5 file is ever certain.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format
from checkpointd.formats.facts import (
    MALFORMED,
    TRUNCATED,
    FormatError,
    Probe,
    SurplusBytesError,
    complete,
    incomplete,
)

if TYPE_CHECKING:
    from checkpointd.formats.storage import Storage

SIGNATURE = b"\x89HDF\r\n\x1a\n"
SUPERBLOCK_BYTES = 64
"""Enough of every version of the superblock to find the end of the file."""

_FIRST_USER_BLOCK = 512
_LATEST_VERSION = 3
_LAYOUT = ((13, 24), (13, 28), (9, 12), (9, 12))
"""By version: where the width of addresses stands, and where the base address does."""

_WIDTHS = (2, 4, 8)
_WRITE_ACCESS = 0x01
_BLOCK = 1 << 20


def find_superblock(
    path: str, size: int, head: bytes, storage: Storage
) -> tuple[int, bytes] | None:
    """Look for the signature at 0, 512, 1024, 2048, ... and give its offset and what follows.

    Args:
        path: the file.
        size: its size in bytes.
        head: its first SUPERBLOCK_BYTES bytes.
        storage: where it is stored.
    """
    if head.startswith(SIGNATURE):
        return 0, head
    offset = _FIRST_USER_BLOCK
    while offset + len(SIGNATURE) <= size:
        block = storage.pread(path, offset, SUPERBLOCK_BYTES)
        if block.startswith(SIGNATURE):
            return offset, block
        offset *= 2
    return None


def end_of_file(offset: int, block: bytes) -> int:
    """Read at which size in bytes the file is complete.

    Args:
        offset: where the superblock is in the file.
        block: its first SUPERBLOCK_BYTES bytes, or fewer if the file ends there.

    Raises:
        FormatError: the superblock is cut short, of no known version, or marks the file as open.
    """
    version = block[8] if len(block) > 8 else 0  # noqa: PLR2004 - after the signature
    if version > _LATEST_VERSION:
        raise FormatError(MALFORMED, f"The HDF5 superblock has the unknown version {version}.")
    width_at, base_at = _LAYOUT[version]
    width = block[width_at] if len(block) > width_at else 0
    if len(block) > width_at and width not in _WIDTHS:
        raise FormatError(MALFORMED, f"The HDF5 superblock has addresses of {width} bytes.")
    eof_at = base_at + 2 * width
    if not width or len(block) < eof_at + width:
        raise FormatError(TRUNCATED, "The HDF5 file ends within its superblock.")
    if version == _LATEST_VERSION and block[11] & _WRITE_ACCESS:
        raise FormatError(
            TRUNCATED,
            "The HDF5 file is marked as open for writing: its writer has not closed it. If the "
            "writer has ended, `h5clear -s FILE` of the HDF5 tools takes the mark off.",
        )
    stored = int.from_bytes(block[eof_at : eof_at + width], "little")
    base = int.from_bytes(block[base_at : base_at + width], "little")
    # The library accepts a file that was moved behind a user block: the offset is what counts.
    return stored - base + offset if stored >= base else stored


def check_size(offset: int, block: bytes, size: int) -> None:
    """Compare the size with the one that the superblock holds.

    Raises:
        SurplusBytesError: the file is longer.
        FormatError: it is shorter, or `end_of_file` raises it.
    """
    expected = end_of_file(offset, block)
    if size < expected:
        raise FormatError(
            TRUNCATED, f"The HDF5 file has {size} bytes, and {expected} were to be written."
        )
    if size > expected:
        raise SurplusBytesError(
            TRUNCATED,
            f"The HDF5 file has {size} bytes, its superblock accounts for {expected}: its writer "
            "has not closed it, or something was appended.",
        )


def probe_superblock(hint: Format, offset: int, block: bytes, size: int) -> Probe:
    """Return whether an HDF5 file is whole.

    Whether it holds a model, weights alone, or a data set is for a child to read: the extension's
    hint is passed on.
    """
    kind = hint if hint in (Format.HDF5, Format.HDF5_WEIGHTS) else Format.HDF5
    try:
        check_size(offset, block, size)
    except FormatError as error:
        return incomplete(kind, error)
    return complete(kind)


def surplus(path: str, storage: Storage) -> FormatError | None:
    """Return whether anything but zeros follows the end that the superblock gives a file.

    Zeros are what a file system or a copy fills up with.

    Raises:
        OSError: it cannot be read.
    """
    size = storage.stat(path).size
    try:
        superblock = find_superblock(path, size, storage.pread(path, 0, SUPERBLOCK_BYTES), storage)
        if superblock is not None:
            check_size(*superblock, size)
    except SurplusBytesError as error:
        at = end_of_file(*superblock) if superblock is not None else size
        while at < size:
            block = storage.pread(path, at, _BLOCK)
            if not block or block.strip(b"\0"):
                return error
            at += len(block)
    except FormatError:
        return None
    return None
