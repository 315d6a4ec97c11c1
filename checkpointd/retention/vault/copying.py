"""Copies of files and directories by descriptors: a reflink where the file system has them.

Never a hard link: writing into the file in place would change both.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat

from checkpointd.retention.trees import opened

_FICLONE = 0x40049409
_CHUNK = 4 << 20


def copy_file(name: str, from_fd: int, to_fd: int) -> None:
    """Copy a file with its times, owner and permissions; it is on disk when this returns.

    Raises:
        OSError: it cannot be copied, or is no regular file.
    """
    source = os.open(
        name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=from_fd
    )
    try:
        status = os.fstat(source)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        target = os.open(name, flags, 0o600, dir_fd=to_fd)
        try:
            _copy_content(source, target)
            _copy_attributes(status, target)
            os.fsync(target)
            os.posix_fadvise(target, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(target)
    finally:
        os.close(source)


def copy_tree(name: str, from_fd: int, to_fd: int) -> None:
    """Copy a directory with all that is in it; it is on disk when this returns.

    Raises:
        OSError: something cannot be copied, or is neither a file nor a directory.
    """
    os.mkdir(name, 0o700, dir_fd=to_fd)
    with opened(name, from_fd) as source, opened(name, to_fd) as target:
        with os.scandir(source) as listed:
            entries = list(listed)
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                copy_tree(entry.name, source, target)
            else:
                copy_file(entry.name, source, target)
        _copy_attributes(os.fstat(source), target)
        os.fsync(target)


def _copy_content(source: int, target: int) -> None:
    try:
        fcntl.ioctl(target, _FICLONE, source)
    except OSError:
        while chunk := os.read(source, _CHUNK):
            rest = memoryview(chunk)
            while rest:
                rest = rest[os.write(target, rest) :]


def _copy_attributes(status: os.stat_result, target: int) -> None:
    with contextlib.suppress(PermissionError):
        os.fchown(target, status.st_uid, status.st_gid)
    os.fchmod(target, stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
