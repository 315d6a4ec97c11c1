"""Checkpoints that are directories: their parts are compared, and other files in them found.

All is opened by directory descriptors; no symbolic link is followed.
"""

from __future__ import annotations

import contextlib
import enum
import os
import stat
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import Format, directory_specs
from checkpointd.core.mounts import mount_id
from checkpointd.formats.names import belongs, is_left_out

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from checkpointd.core.checkpoint import Generation, Member

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
"""How a directory is opened: the last component must not be a link."""


class Sameness(enum.IntEnum):
    """How much of a file's identity is compared; each compares what the ones before it do.

    CONTENT: size and modification time, as what was saved is known by across remounts and chmods.
    RENAMED: the inode, which a rename leaves alone. TOUCHED: the change time.
    """

    CONTENT = 0
    RENAMED = 1
    TOUCHED = 2


class NotUnchangedError(Exception):
    """What is on disk is not what was verified; the message says what differs."""


class NotAloneError(NotUnchangedError):
    """A checkpoint's directory also holds something else, which a move would take along."""


@contextlib.contextmanager
def opened(path: str, dir_fd: int | None = None) -> Iterator[int]:
    """Open a directory; the last component must not be a link.

    Raises:
        OSError: it is not a directory, or cannot be opened.
    """
    file = os.open(path, DIRECTORY, dir_fd=dir_fd)
    try:
        yield file
    finally:
        os.close(file)


def compare(member: Member, status: os.stat_result, sameness: Sameness) -> None:
    """Check that a file still is the member that was verified.

    Raises:
        NotUnchangedError: it is not.
    """
    shown = repr(member.name) if member.name else "it"
    if not stat.S_ISREG(status.st_mode):
        raise NotUnchangedError(f"{shown} is not a regular file")
    if (status.st_size, status.st_mtime_ns) != (member.size, member.mtime_ns):
        raise NotUnchangedError(f"{shown} was written again since it was verified")
    if sameness >= Sameness.RENAMED and status.st_ino != member.inode:
        raise NotUnchangedError(f"{shown} was replaced since it was verified")
    if sameness >= Sameness.TOUCHED and status.st_ctime_ns != member.ctime_ns:
        raise NotUnchangedError(f"{shown} was touched since it was verified")


def compare_tree(
    top_fd: int,
    top: str,
    generation: Generation,
    sameness: Sameness = Sameness.TOUCHED,
    *,
    alone: bool,
) -> None:
    """Check that every member is as it was, none is missing and none was added.

    Temporary files of writers, rsync or NFS, which the watch ignores, are not members: they are
    moved along. With `alone` nothing else may be in the directory. Of a save that was killed
    early they are all there is; then nothing else at all may be there.
    """
    expected = {"/" + m.name.partition("/")[2]: m for m in generation.members}
    of_temporaries = any(_is_temporary(name, top) for name in expected)
    if (
        alone
        and not of_temporaries
        and (other := next(others_in(top_fd, generation), None)) is not None
    ):
        raise NotAloneError(
            f"its directory also holds {other!r}, which is not part of it: move that elsewhere if "
            "the checkpoint should be pruned"
        )
    kind = _kind_of(generation)
    with contextlib.closing(_files_below(top_fd, top, every=of_temporaries)) as files:
        for name, found in files:
            if not of_temporaries and not belongs(name[1:].partition("/")[0], kind):
                continue
            member = expected.pop(name, None)
            if member is None:
                raise NotUnchangedError(f"{name!r} was not there when it was verified")
            compare(member, found, sameness)
    if expected:
        raise NotUnchangedError(f"{min(expected)!r} is missing")


def others_in(top_fd: int, generation: Generation) -> Iterator[str]:
    """The names in a checkpoint's directory that are neither part of it nor temporary."""
    with os.scandir(top_fd) as listed:
        names = ((entry.name, entry.is_dir(follow_symlinks=False)) for entry in listed)
        yield from foreign_names(names, generation)


def foreign_names(names: Iterable[tuple[str, bool]], generation: Generation) -> Iterator[str]:
    """Those of some names, each with whether it is a directory, that are not part of it; pure."""
    kind = _kind_of(generation)
    for name, is_directory in names:
        if not belongs(name, kind) and not is_left_out(name, "", is_directory=is_directory):
            yield name


def _is_temporary(name: str, top: str) -> bool:
    directory, _, base = name.rpartition("/")
    return is_left_out(base, directory.rpartition("/")[2] or top, is_directory=False)


def _kind_of(generation: Generation) -> Format:
    """The format of a directory, all of whose members belong to it."""
    tops = {member.name.split("/")[1] for member in generation.members if "/" in member.name}
    of_all = (s.name for s in directory_specs() if all(belongs(top, s.name) for top in tops))
    return next(of_all, Format.SAVEDMODEL)


def _files_below(
    top_fd: int, top: str, *, every: bool = False
) -> Generator[tuple[str, os.stat_result], None, None]:
    """Every file that is not temporary, or `every` one, by its path below a directory (`/...`)."""
    device = os.fstat(top_fd).st_dev
    left = [("", os.dup(top_fd))]
    try:
        while left:
            below, file = left.pop()
            directory = below.rpartition("/")[2] or top
            try:
                with os.scandir(file) as listed:
                    entries = list(listed)
                for entry in entries:
                    name = f"{below}/{entry.name}"
                    status = os.stat(entry.name, dir_fd=file, follow_symlinks=False)
                    is_directory = stat.S_ISDIR(status.st_mode)
                    if status.st_dev != device and (
                        is_directory or not _is_of_one_mount(entry.name, file)
                    ):
                        raise NotUnchangedError(f"something is mounted on {name!r}")
                    if not every and is_left_out(entry.name, directory, is_directory=is_directory):
                        continue
                    if not is_directory:
                        yield name, status
                    else:
                        left.append((name, os.open(entry.name, DIRECTORY, dir_fd=file)))
            finally:
                os.close(file)
    finally:
        for _, file in left:
            os.close(file)


def _is_of_one_mount(name: str, directory_fd: int) -> bool:
    """Whether a file belongs to the mount of its directory, although its device is another one.

    On overlayfs a file has a device of its layer, and a directory that of the whole.
    """
    file = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory_fd)
    try:
        mount = mount_id(file)
        return mount is not None and mount == mount_id(directory_fd)
    finally:
        os.close(file)
