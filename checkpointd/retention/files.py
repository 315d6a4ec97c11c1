"""The files of a checkpoint, opened by directory descriptors: no symbolic link is followed.

Here the identity of a checkpoint is checked again, right before and right after it is moved.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import GOLDEN_SUFFIX, Format
from checkpointd.retention.trees import (
    DIRECTORY,
    NotUnchangedError,
    Sameness,
    compare,
    compare_tree,
    opened,
    others_in,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.core.checkpoint import Checkpoint, Generation, Member

_RENAME_NOREPLACE = 1
_BESIDE = "/../"


@dataclass(frozen=True)
class Part:
    """One name that is moved in one step: a file, or the directory that a checkpoint is.

    `companion` marks a golden record: it moves along, but the checkpoint is complete without it.
    """

    name: str
    inode: int
    directory: bool = False
    companion: bool = False


@contextlib.contextmanager
def opened_root(path: str) -> Iterator[int]:
    """Open a root; the user may have configured a link to it."""
    file = os.open(path, DIRECTORY & ~os.O_NOFOLLOW)
    try:
        yield file
    finally:
        os.close(file)


@contextlib.contextmanager
def opened_below(root_fd: int, relative: str, *, create: bool = False) -> Iterator[int]:
    """Open a directory below a root, component by component, on one file system.

    Raises:
        OSError: a component is missing, a link, or on another file system (EXDEV).
    """
    device = os.fstat(root_fd).st_dev
    file = os.dup(root_fd)
    try:
        for name in relative.split("/") if relative else ():
            if name in ("", ".", ".."):
                raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
            if create:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(name, dir_fd=file)
            below = os.open(name, DIRECTORY, dir_fd=file)
            os.close(file)
            file = below
            if os.fstat(file).st_dev != device:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        yield file
    finally:
        os.close(file)


def is_directory(checkpoint: Checkpoint, generation: Generation) -> bool:
    """Whether a checkpoint is a directory."""
    return checkpoint.format is Format.SAVEDMODEL or any(
        m.name.startswith("/") and not m.name.startswith(_BESIDE) for m in generation.members
    )


def _directory_after(generation: Generation) -> str:
    """What follows a prefix in the name of a directory that holds all that is there: `_temp`.

    Empty where there is none: TensorFlow leaves one if a save is killed early.
    """
    tops = {member.name.partition("/")[0] for member in generation.members if "/" in member.name}
    return tops.pop() if len(tops) == 1 else ""


def parts_of(
    parent_fd: int,
    name: str,
    checkpoint: Checkpoint,
    generation: Generation,
    sameness: Sameness = Sameness.TOUCHED,
    *,
    alone: bool = False,
) -> list[Part]:
    """Check a checkpoint on disk, and return the names to be moved, in that order.

    The `.index` of a bundle comes first: the rest is not a checkpoint without it.

    Args:
        parent_fd: the directory that it is in.
        name: its name there.
        checkpoint: what the ledger knows.
        generation: the content that was verified.
        sameness: how much of it is compared.
        alone: whether nothing else may be in its directory.

    Raises:
        NotUnchangedError: it is not the generation that was verified.
        NotAloneError: something else is in its directory.
        FileNotFoundError: it is gone.
        OSError: it cannot be read.
    """
    name += (below := _directory_after(generation))
    if below or is_directory(checkpoint, generation):
        status = os.stat(name, dir_fd=parent_fd, follow_symlinks=False)
        if not stat.S_ISDIR(status.st_mode):
            raise NotUnchangedError("it is not a directory any more")
        with opened(name, parent_fd) as file:
            compare_tree(file, name, generation, sameness, alone=alone)
            inode = os.fstat(file).st_ino
        return [Part(name, inode, directory=True)]
    members = sorted(generation.members, key=lambda m: (m.name not in (".index", ""), m.name))
    parts = []
    for member in members:
        part = member_path(name, member)
        compare(member, os.stat(part, dir_fd=parent_fd, follow_symlinks=False), sameness)
        parts.append(Part(part, member.inode))
    record = record_beside(parent_fd, name)
    if record is not None:
        parts.append(Part(name + GOLDEN_SUFFIX, record.st_ino, companion=True))
    return parts


def record_beside(parent_fd: int, name: str) -> os.stat_result | None:
    """Return the status of the golden record beside a checkpoint; None if there is none.

    Raises:
        OSError: it cannot be looked at.
    """
    try:
        status = os.stat(name + GOLDEN_SUFFIX, dir_fd=parent_fd, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
            return None
        raise
    return status if stat.S_ISREG(status.st_mode) else None


def compare_moved(content_fd: int, name: str, parts: list[Part], generation: Generation) -> None:
    """Check in the trash, where no other process writes, that what was moved is what was checked.

    Raises:
        NotUnchangedError: it changed in between.
        OSError: it cannot be read.
    """
    if parts[0].directory:
        name = parts[0].name
        with opened(name, content_fd) as file:
            if os.fstat(file).st_ino != parts[0].inode:
                raise NotUnchangedError("it was replaced while it was moved")
            compare_tree(file, name, generation, alone=True)
        return
    for member in generation.members:
        status = os.stat(member_path(name, member), dir_fd=content_fd, follow_symlinks=False)
        compare(member, status, Sameness.RENAMED)


def is_unchanged(root_fd: int, relative: str, checkpoint: Checkpoint, gen: Generation) -> bool:
    """Whether a checkpoint is below a root as it was verified."""
    parent, _, name = relative.rpartition("/")
    try:
        with opened_below(root_fd, parent) as file:
            parts_of(file, name, checkpoint, gen)
    except (OSError, NotUnchangedError):
        return False
    return True


def sameness_of(path: str, checkpoint: Checkpoint, generation: Generation) -> Sameness | None:
    """How much of the identity of what was verified is still at a path; None if it is not there.

    Content is not read: this is for planning. CONTENT alone means that a file was replaced or
    touched, and that nobody knows if its bytes are the same.
    """
    parent, _, name = path.rpartition("/")
    try:
        with opened_root(parent or "/") as file:
            for sameness in (Sameness.TOUCHED, Sameness.CONTENT):
                try:
                    parts_of(file, name, checkpoint, generation, sameness)
                except NotUnchangedError:
                    continue
                return sameness
    except OSError:
        pass
    return None


def is_shared(path: str, checkpoint: Checkpoint, generation: Generation) -> bool:
    """Whether a checkpoint is a directory that also holds something else."""
    if not is_directory(checkpoint, generation):
        return False
    try:
        with opened_root(path) as file:
            return any(others_in(file, generation))
    except OSError:
        return False


def exists(name: str, dir_fd: int) -> bool:
    """Whether a name exists, as anything."""
    try:
        os.stat(name, dir_fd=dir_fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def is_intact(dir_fd: int, part: Part, name: str, generation: Generation) -> bool:
    """Whether a part of the checkpoint `name` is in a directory as it was verified.

    The change time is not compared, because a rename changes it.
    """
    try:
        status = os.stat(part.name, dir_fd=dir_fd, follow_symlinks=False)
        if status.st_ino != part.inode:
            return False
        if part.directory:
            with opened(part.name, dir_fd) as file:
                compare_tree(file, part.name, generation, alone=True)
        for member in () if part.directory else generation.members:
            if member_path(name, member) == part.name:
                compare(member, status, Sameness.RENAMED)
    except (OSError, NotUnchangedError):
        return False
    return True


def rename_new(name: str, from_fd: int, to_fd: int) -> None:
    """Move a name from one directory to another, never over an existing one.

    Where the file system lacks RENAME_NOREPLACE, the name is checked first, then renamed.

    Raises:
        FileExistsError: the name exists there.
        OSError: it cannot be moved.
    """
    encoded = os.fsencode(name)
    if _renameat2 is not None:
        if _renameat2(from_fd, encoded, to_fd, encoded, _RENAME_NOREPLACE) == 0:
            return
        number = ctypes.get_errno()
        if number not in (errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP):
            raise OSError(number, os.strerror(number), name)
    if exists(name, to_fd):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
    os.rename(name, name, src_dir_fd=from_fd, dst_dir_fd=to_fd)


def _find_renameat2() -> ctypes._NamedFuncPointer | None:
    try:
        function = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return None
    function.argtypes = (
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_int,
        ctypes.c_char_p,
        ctypes.c_uint,
    )
    function.restype = ctypes.c_int
    return function


_renameat2 = _find_renameat2()


def member_path(name: str, member: Member) -> str:
    """The path of a member of the checkpoint `name`, from the directory that it is in."""
    if member.name.startswith(_BESIDE):
        return member.name[len(_BESIDE) :]
    return name + member.name
