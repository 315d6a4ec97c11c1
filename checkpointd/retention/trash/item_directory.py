"""The directory of one item of the trash: created and removed so that a crash does no harm."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import time
from typing import TYPE_CHECKING

from checkpointd.core.remove_tree import remove_tree
from checkpointd.retention.files import exists
from checkpointd.retention.trash import access, moves
from checkpointd.retention.trash.manifest import Manifest, Stage, write_manifest
from checkpointd.retention.trees import opened

if TYPE_CHECKING:
    from collections.abc import Callable

_RESERVE = "reserve"
_RESERVE_BYTES = 256 * 1024
_FULL = (errno.ENOSPC, errno.EDQUOT)


def make(
    trash_fd: int, manifest: Manifest, access_of_item: access.Access, step: Callable[[str], None]
) -> str:
    """Create an item with its manifest; the reserve is deleted when the disk is full.

    Returns:
        The item's id.

    Raises:
        OSError: it cannot be created; nothing is left of it.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(manifest.at))
    identity = f"{stamp}-{secrets.token_hex(4)}"
    try:
        _write(trash_fd, identity, manifest, access_of_item, step)
    except OSError as error:
        discard(trash_fd, identity)
        if error.errno not in _FULL or not exists(_RESERVE, trash_fd):
            raise
        with contextlib.suppress(FileNotFoundError):  # another removal of this round needed it
            os.unlink(_RESERVE, dir_fd=trash_fd)
        try:
            _write(trash_fd, identity, manifest, access_of_item, step)
        except OSError:
            discard(trash_fd, identity)
            raise
    else:
        keep_reserve(trash_fd)
    return identity


def delete(trash_fd: int, identity: str, step: Callable[[str], None]) -> None:
    """Delete an item and what is in it for good.

    Raises:
        OSError: something of it cannot be deleted; `Trash.recover` tries again.
    """
    with opened(identity, trash_fd) as item_fd:
        step("delete: mark")
        if exists(Stage.DONE, item_fd):
            moves.mark(item_fd, Stage.DONE, Stage.DELETING)
        step("delete: content")
        if exists(moves.CONTENT, item_fd):
            remove_tree(moves.CONTENT, dir_fd=item_fd)
    step("delete: rest")
    discard(trash_fd, identity)


def discard(trash_fd: int, identity: str) -> bool:
    """Remove an item that holds nothing; False if it does, or cannot be removed."""
    try:
        with opened(identity, trash_fd) as item_fd:
            with contextlib.suppress(FileNotFoundError):
                os.rmdir(moves.CONTENT, dir_fd=item_fd)
            for name in (*Stage, "manifest.new"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=item_fd)
        os.rmdir(identity, dir_fd=trash_fd)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def keep_reserve(trash_fd: int) -> bool:
    """Reserve space for the next manifest, as on a full disk pruning is needed most.

    Returns:
        Whether it is reserved.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        file = os.open(_RESERVE, flags, 0o600, dir_fd=trash_fd)
    except OSError:
        return False
    try:
        if os.fstat(file).st_size < _RESERVE_BYTES:
            os.posix_fallocate(file, 0, _RESERVE_BYTES)
    except OSError:
        remove_reserve(trash_fd)
        return False
    finally:
        os.close(file)
    return True


def remove_reserve(trash_fd: int) -> None:
    """Remove the reserve of a trash that gets no more items."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_RESERVE, dir_fd=trash_fd)


def keep_content(item_fd: int) -> None:
    """Make sure that there is a directory for the content; a crash may have left none."""
    with contextlib.suppress(FileExistsError):
        os.mkdir(moves.CONTENT, 0o700, dir_fd=item_fd)


def _write(
    trash_fd: int,
    identity: str,
    manifest: Manifest,
    access_of_item: access.Access,
    step: Callable[[str], None],
) -> None:
    step("make")
    os.mkdir(identity, 0o700, dir_fd=trash_fd)
    with opened(identity, trash_fd) as item_fd:
        os.mkdir(moves.CONTENT, 0o700, dir_fd=item_fd)
        step("write")
        write_manifest(manifest, item_fd, access_of_item.of_files)
        with opened(moves.CONTENT, item_fd) as content_fd:
            access.give(content_fd, access_of_item)
        access.give(item_fd, access_of_item)
    os.fsync(trash_fd)
