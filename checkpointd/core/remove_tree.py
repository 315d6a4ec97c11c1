"""Removes a directory that others have filled, however deep it is and whatever its modes are.

`shutil.rmtree` calls itself for each level, and a thousand of them end in a RecursionError; it
leaves what it may not open. Here what is deep is moved up instead, level by level. No symbolic link
is followed. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
import uuid

_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_tree(path: str | os.PathLike[str], *, dir_fd: int | None = None) -> None:
    """Remove a directory and everything in it.

    Args:
        path: of the directory, to which nobody else writes any more.
        dir_fd: of the directory that a relative path starts at.

    Raises:
        OSError: it is no directory, or something of it cannot be removed; the rest is gone.
    """
    top = _opened(path, dir_fd)
    try:
        with contextlib.suppress(OSError):
            os.fchmod(top, 0o700)
        _empty(top)
    finally:
        os.close(top)
    os.rmdir(path, dir_fd=dir_fd)


def _opened(path: str | os.PathLike[str], dir_fd: int | None) -> int:
    try:
        return os.open(path, _OPEN, dir_fd=dir_fd)
    except PermissionError:  # a symbolic link is none: it is no directory
        os.chmod(path, 0o700, dir_fd=dir_fd)
        return os.open(path, _OPEN, dir_fd=dir_fd)


def _empty(top: int) -> None:
    """Empty a directory; the contents of its subdirectories are moved up to it first."""
    failed: OSError | None = None
    stuck: set[str] = set()
    while names := set(os.listdir(top)) - stuck:
        for name in names:
            try:
                _remove_one(name, top)
            except OSError as error:  # noqa: PERF203 - the others are removed all the same
                failed = failed or error
                stuck.add(name)
    if failed is not None:
        raise failed


def _remove_one(name: str, top: int) -> None:
    """Remove a file, or a directory whose own directories are moved to the top."""
    try:
        os.unlink(name, dir_fd=top)
    except IsADirectoryError:
        with contextlib.suppress(OSError):
            os.rmdir(name, dir_fd=top)
            return
    else:
        return
    below = _opened(name, top)
    try:
        with contextlib.suppress(OSError):  # another's
            os.fchmod(below, 0o700)
        for inner in os.listdir(below):
            try:
                os.unlink(inner, dir_fd=below)
            except IsADirectoryError:  # noqa: PERF203 - a directory is moved up
                _hoist(inner, below, top)
    finally:
        os.close(below)
    os.rmdir(name, dir_fd=top)


def _hoist(inner: str, below: int, top: int) -> None:
    target = f"gone-{uuid.uuid4().hex}"
    try:
        os.rename(inner, target, src_dir_fd=below, dst_dir_fd=top)
    except PermissionError:  # a directory that is moved has its `..` written
        os.chmod(inner, 0o700, dir_fd=below)
        os.rename(inner, target, src_dir_fd=below, dst_dir_fd=top)
