"""Whether a user can reach a path, by the modes on disk; whom root may not ask by trying."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.core.permissions import group_name, is_sticky_for, user_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

READ = stat.S_IROTH | stat.S_IXOTH
"""Read and enter, or read and run."""

CHANGE = READ | stat.S_IWOTH
"""Also make and remove files in it."""

_ACL = "system.posix_acl_access"


@dataclass(frozen=True)
class Identity:
    """A user as the kernel sees it; `uid` is -1 for one that does not exist yet."""

    name: str
    uid: int
    gids: frozenset[int]

    def joined(self, groups: Collection[str]) -> Identity:
        """The same user as a member of more groups."""
        more = frozenset(grp.getgrnam(name).gr_gid for name in groups)
        return Identity(self.name, self.uid, self.gids | more)


def identity(name: str) -> Identity:
    """Look a user up; one that does not exist yet has no group."""
    try:
        user = pwd.getpwnam(name)
    except KeyError:
        return Identity(name, -1, frozenset())
    return Identity(name, user.pw_uid, frozenset(os.getgrouplist(name, user.pw_gid)))


def obstacle(path: str, user: Identity, access: int = READ) -> str:
    """Return why a user cannot use a path, as a clause; empty if nothing is in the way.

    What is missing, or has an access control list, is not judged.

    Args:
        path: absolute; symlinks are followed.
        user: who has to.
        access: `READ` or `CHANGE`, of the path itself; its directories must let the user in.
    """
    real = os.path.realpath(path)
    for part in _downwards(real):
        try:
            status = os.stat(part)
            if _ACL in os.listxattr(part):
                continue
        except OSError:
            return ""
        bits = access if part == real else stat.S_IXOTH
        if user.uid != 0 and not _allowed(status, user, bits):
            verb = "use" if part == real else "enter"
            owner = user_name(status.st_uid)
            return f"cannot {verb} {part} (mode {stat.S_IMODE(status.st_mode):04o}, of {owner})"
    if access == CHANGE and is_sticky_for(status, user.uid):
        return f"cannot move what others own in {real}, which has the sticky bit (`chmod -t` it)"
    return ""


def group_needed(path: str, user: Identity, access: int = READ) -> str:
    """Return the group in which a user could use a directory, if that is what it lacks."""
    try:
        status = os.stat(path)
    except OSError:
        return ""
    through_group = status.st_mode & access << 3 == access << 3
    if _allowed(status, user, access) or not through_group or not status.st_gid:
        return ""
    return group_name(status.st_gid)


def _allowed(status: os.stat_result, user: Identity, bits: int) -> bool:
    shift = 0
    if status.st_uid == user.uid:
        shift = 6
    elif status.st_gid in user.gids:
        shift = 3
    return status.st_mode & bits << shift == bits << shift


def _downwards(path: str) -> Iterator[str]:
    parts = path.strip("/").split("/")
    yield "/"
    for count in range(1, len(parts) + 1):
        yield "/" + "/".join(parts[:count])
