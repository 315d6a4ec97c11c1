"""Small JSON files in `ROOT/.checkpointd/`: checksummed, and replaced whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkpointd.formats.names import ROOT_RECORDS
from checkpointd.retention.trees import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_VERSION = 1
_READ_LIMIT = 64 * 1024 * 1024


@dataclass(frozen=True)
class RecordFile:
    """One file as it was read: its digest, and what it holds; None if it is damaged."""

    digest: str
    body: dict[str, Any] | None


@contextlib.contextmanager
def opened_records(root_fd: int) -> Iterator[int]:
    """Open the records of an open root.

    Raises:
        FileNotFoundError: there are none.
        OSError: they cannot be opened.
    """
    with opened(ROOT_RECORDS, root_fd) as file:
        yield file


@contextlib.contextmanager
def created_records(root_fd: int) -> Iterator[int]:
    """Open the records of an open root; made if there are none, with the root's owner and mode.

    So any user who may remove the root may remove them, too.

    Raises:
        OSError: they can be neither opened nor made.
    """
    try:
        os.mkdir(ROOT_RECORDS, 0o700, dir_fd=root_fd)
    except FileExistsError:
        pass
    else:
        with opened(ROOT_RECORDS, root_fd) as file:
            _give_to_owner(file, root_fd, stat.S_IMODE(os.fstat(root_fd).st_mode))
        os.fsync(root_fd)
    with opened(ROOT_RECORDS, root_fd) as file:
        yield file


def open_record(records_fd: int, name: str, flags: int) -> int:
    """Open one file of the records; one that is created belongs to the owner of the root.

    Raises:
        OSError: it cannot be opened.
    """
    file = os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=records_fd)
    if flags & os.O_CREAT:
        mode = stat.S_IMODE(os.fstat(records_fd).st_mode) & 0o666 | 0o600
        _give_to_owner(file, records_fd, mode)
    return file


def read(records_fd: int, name: str) -> RecordFile | None:
    """One file of the records; None if it does not exist.

    Raises:
        OSError: it is there and cannot be read.
    """
    try:
        file = open_record(records_fd, name, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    with open(file, "rb") as stream:
        return parse(stream.read(_READ_LIMIT))


def parse(data: bytes) -> RecordFile:
    """What the content of a file is."""
    digest = hashlib.sha256(data).hexdigest()
    try:
        body = json.loads(data)
        if body.pop("version") != _VERSION or body.pop("checksum") != _checksum(body):
            body = None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        body = None
    return RecordFile(digest, body)


def write(
    records_fd: int, name: str, body: dict[str, Any], step: Callable[[str], None]
) -> RecordFile:
    """Replace one file of the records; on disk when this returns.

    Raises:
        OSError: it cannot be written; what was there stays.
    """
    data = content_of(body)
    new = f"{name}.new"
    step(f"{name}: write")
    file = open_record(records_fd, new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        left = data
        while left:
            left = left[os.write(file, left) :]
        os.fsync(file)
    finally:
        os.close(file)
    step(f"{name}: rename")
    os.rename(new, name, src_dir_fd=records_fd, dst_dir_fd=records_fd)
    os.fsync(records_fd)
    return RecordFile(hashlib.sha256(data).hexdigest(), body)


def content_of(body: dict[str, Any]) -> bytes:
    """The content of a file for what it is to hold."""
    whole = {"version": _VERSION, "checksum": _checksum(body), **body}
    return json.dumps(whole, indent=1).encode() + b"\n"


def _checksum(body: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _give_to_owner(file: int, above: int, mode: int) -> None:
    """Give a new file the owner of what it is in, as far as the daemon may."""
    owner = os.fstat(above)
    with contextlib.suppress(PermissionError):
        os.fchown(file, owner.st_uid, owner.st_gid)
    with contextlib.suppress(PermissionError):
        os.fchmod(file, mode)
