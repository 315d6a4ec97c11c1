"""Who may see and remove an item of the trash: those who could before it was pruned.

An item gets the owner, the group and the mode of the directory that its checkpoint was in, less
what the directories above it did not let through. Nobody gains access by a pruning: where an
access control list decides, only the owner keeps his.
"""

from __future__ import annotations

import contextlib
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.retention.files import opened_below

if TYPE_CHECKING:
    from collections.abc import Iterable

_ALL, _SEARCH = 0o7, 0o1
_KEPT = stat.S_ISGID | stat.S_ISVTX
_LISTS = ("system.posix_acl_access", "system.posix_acl_default")


@dataclass(frozen=True)
class Access:
    """The mode of a directory, and its owner and group; None: those of the daemon."""

    mode: int
    owner: int | None = None
    group: int | None = None

    @property
    def of_files(self) -> int:
        """The mode of the daemon's own files there: readable by who may list the directory."""
        return 0o600 | (self.mode & 0o444)


def ancestors(root: str) -> tuple[Access, ...]:
    """The access of the directories above a root.

    Raises:
        OSError: one cannot be looked at.
    """
    found, path = list[Access](), os.path.realpath(root)
    while path != "/":
        path = os.path.dirname(path)
        found.append(_access_of(path))
    return tuple(found)


def inherited(root_fd: int, relative: str, outside: Iterable[Access] = ()) -> Access:
    """The access of a directory below an open root, through all directories above it.

    Raises:
        OSError: one cannot be looked at.
    """
    names = relative.split("/") if relative else []
    above = [*outside]
    for depth in range(len(names) + 1):
        with opened_below(root_fd, "/".join(names[:depth])) as file:
            above.append(_access_of(file))
    return through(above.pop(), above)


def through(directory: Access, above: Iterable[Access]) -> Access:
    """The access of a directory, less what the ones above do not let through; pure."""
    owner, (group, others) = directory.owner, (directory.mode >> 3 & _ALL, directory.mode & _ALL)
    for one in above:
        of_others = one.mode & _ALL
        if not (one.mode >> 6 if one.owner == directory.owner else of_others) & _SEARCH:
            owner = None
        if not (one.mode >> 3 if one.group == directory.group else of_others) & _SEARCH:
            group = 0
        if not of_others & _SEARCH:
            others = 0
    mode = 0o700 | group << 3 | others | directory.mode & _KEPT
    return Access(mode, owner, directory.group)


def give(file: int, access: Access) -> None:
    """Give an open directory of the daemon's that access, as far as the daemon may.

    Where the group cannot be set, the daemon's own may do no more than others.

    Raises:
        OSError: its mode cannot be set.
    """
    mode = access.mode
    for name in _LISTS:
        with contextlib.suppress(OSError):
            os.removexattr(file, name)
    own = os.fstat(file)
    if access.group not in (None, own.st_gid):
        try:
            os.chown(file, -1, access.group or 0)
        except OSError:
            mode &= ~0o070 | (mode & 0o007) << 3
    os.fchmod(file, mode)
    if access.owner not in (None, own.st_uid):
        with contextlib.suppress(OSError):
            os.chown(file, access.owner or 0, -1)


def _access_of(directory: str | int) -> Access:
    status = os.stat(directory)
    mode = stat.S_IMODE(status.st_mode)
    try:
        os.getxattr(directory, _LISTS[0])
        mode &= ~0o077
    except OSError:
        pass
    return Access(mode, status.st_uid, status.st_gid)
