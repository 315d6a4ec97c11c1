"""Reads exactly the generation that was verified; what changes meanwhile is not read to its end.

Every file is opened by descriptors from the root on, follows no symbolic link, and is compared
before and after it is read. The page cache stays as it was where the kernel can do that.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.core.format_specs import GOLDEN_SUFFIX
from checkpointd.formats.order import copy_order
from checkpointd.retention.files import opened_below, opened_root, parts_of, record_beside
from checkpointd.retention.trees import NotUnchangedError, Sameness, compare

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from checkpointd.core.checkpoint import Checkpoint, Generation, Member

_RWF_DONTCACHE = 0x80  # Linux 6.14: pages that this read brings in leave again, others stay
_BESIDE = "/../"


class CopyingStoppedError(Exception):
    """The copy was stopped."""


class NotCopiableError(Exception):
    """A checkpoint cannot be copied in its present state; the sentence says why."""


@dataclass(frozen=True)
class SourceFile:
    """One file of a checkpoint by its path below the root; `member` is None for a golden record."""

    path: str
    member: Member | None


class Source:
    """The files of one generation.

    Args:
        root: the root of the watch.
        checkpoint: what is copied.
        generation: its content as it was verified.
        stopped: returns whether to stop; called after each piece.
    """

    def __init__(
        self,
        root: str,
        checkpoint: Checkpoint,
        generation: Generation,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.path = os.path.relpath(checkpoint.path, root)
        self._root = root
        self._checkpoint = checkpoint
        self._generation = generation
        self._stopped = stopped

    def files(self) -> list[SourceFile]:
        """The files in the order in which they are copied: what makes them a checkpoint last.

        Raises:
            NotUnchangedError: it is not the generation that was verified.
            NotCopiableError: a name is not UTF-8, which a key must be, or it cannot be read.
        """
        by_name = {member.name: member for member in self._generation.members}
        files = [
            SourceFile(_path_of(self.path, name), by_name[name])
            for name in copy_order(by_name, self._checkpoint.format)
        ]
        record = SourceFile(self.path + GOLDEN_SUFFIX, None)
        with self._parent() as (parent_fd, name):
            parts_of(parent_fd, name, self._checkpoint, self._generation)
            if record_beside(parent_fd, name) is not None:
                files.insert(0, record)
        for file in files:
            try:
                file.path.encode()
            except UnicodeEncodeError:
                raise NotCopiableError(
                    f"the name {file.path!r} is not UTF-8, and no object can have it: rename it"
                ) from None
        return files

    def check(self) -> None:
        """Compare all of it with the generation that was verified.

        Raises:
            NotUnchangedError: it is another one.
            NotCopiableError: it cannot be read.
        """
        with self._parent() as (parent_fd, name):
            parts_of(parent_fd, name, self._checkpoint, self._generation)

    def size(self, file: SourceFile) -> int:
        """The size of a file; that of a golden record is looked up."""
        if file.member is not None:
            return file.member.size
        with self._opened(file) as (file_fd, _):
            return os.fstat(file_fd).st_size

    def pieces(self, file: SourceFile, size: int) -> Generator[bytes, None, None]:
        """Read a file in pieces of a size; the last may be shorter, and an empty file has none.

        Raises:
            NotUnchangedError: it is not what was verified, or changed while it was read.
            CopyingStoppedError: nobody waits any more.
            NotCopiableError: it cannot be read.
        """
        with self._opened(file) as (file_fd, before):
            offset = 0
            while offset < before.st_size:
                if self._stopped():
                    raise CopyingStoppedError
                piece = _read(file_fd, offset, min(size, before.st_size - offset))
                offset += len(piece)
                if offset == before.st_size:
                    _compare(file, before, os.fstat(file_fd))
                yield piece

    @contextlib.contextmanager
    def _opened(self, file: SourceFile) -> Iterator[tuple[int, os.stat_result]]:
        """Open a file that is what was verified."""
        parent, _, name = file.path.rpartition("/")
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with _reading():
            with opened_root(self._root) as root_fd, opened_below(root_fd, parent) as parent_fd:
                file_fd = os.open(name, flags, dir_fd=parent_fd)
            try:
                status = os.fstat(file_fd)
                if not stat.S_ISREG(status.st_mode):
                    raise NotUnchangedError(f"{file.path!r} is not a regular file")
                _compare(file, status, status)
                yield file_fd, status
            finally:
                os.close(file_fd)

    @contextlib.contextmanager
    def _parent(self) -> Iterator[tuple[int, str]]:
        """The directory that the checkpoint is in, and its name there."""
        parent, _, name = self.path.rpartition("/")
        with (
            _reading(),
            opened_root(self._root) as root_fd,
            opened_below(root_fd, parent) as parent_fd,
        ):
            yield parent_fd, name


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    """Raise errors of the disk as `NotCopiableError`, so that they differ from the store's."""
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise NotUnchangedError("it is not there any more") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise NotUnchangedError("a symbolic link is there") from None
        raise NotCopiableError(f"it cannot be read: {error.strerror}") from None


def _path_of(path: str, name: str) -> str:
    if name.startswith(_BESIDE):
        return os.path.join(os.path.dirname(path), name[len(_BESIDE) :])
    return path + name


def _compare(file: SourceFile, before: os.stat_result, now: os.stat_result) -> None:
    """Check that a file is what was verified; a golden record, what it was when it was opened."""
    if file.member is not None:
        compare(file.member, now, Sameness.TOUCHED)
        return
    parts = ("st_size", "st_mtime_ns", "st_ctime_ns")
    if any(getattr(before, part) != getattr(now, part) for part in parts):
        raise NotUnchangedError(f"{file.path!r} was written while it was read")


def _read(file_fd: int, offset: int, size: int) -> bytes:
    """Read `size` bytes.

    Raises:
        NotUnchangedError: the file became shorter.
        OSError: it cannot be read.
    """
    buffer = bytearray(size)
    view, done = memoryview(buffer), 0
    while done < size:
        try:
            got = os.preadv(file_fd, [view[done:]], offset + done, _RWF_DONTCACHE)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL):
                raise
            got = os.preadv(file_fd, [view[done:]], offset + done)
        if got == 0:
            raise NotUnchangedError("it became shorter while it was read")
        done += got
    return bytes(buffer)
