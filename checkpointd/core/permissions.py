"""Which permission is missing where access was denied, how to get it, and names of accounts."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

MAY_READ = os.R_OK
MAY_WRITE = os.R_OK | os.W_OK
MAY_ENTER = os.X_OK
MAY_CONNECT = MAY_WRITE
"""To a unix socket."""


def user_name(uid: int) -> str:
    """The login name of a user; the number where there is no account."""
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """The name of a group; the number where there is none."""
    import grp

    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def is_sticky_for(directory: os.stat_result, uid: int) -> bool:
    """Whether a directory lets a user move only what that user owns, as `/tmp` does."""
    return bool(directory.st_mode & stat.S_ISVTX) and uid not in (0, directory.st_uid)


def cure_of_denial(path: str | os.PathLike[str], need: int = MAY_READ) -> str:
    """Return one sentence on how to get access that this process was denied.

    It is about the first directory of the path that may not be entered, else the path itself.

    Args:
        path: what could not be used.
        need: the access that was needed, as for `os.access`.
    """
    denying = denying_part(os.path.abspath(path), need)
    if denying is None:
        return "Use sudo."
    status = denying.status
    group, owner = status.st_gid, user_name(status.st_uid)
    if group and not _lacks(status.st_mode, denying.need):
        return _by_group(group)
    if status.st_uid:
        return f"Only {owner} and root may: use `{_sudo(status.st_uid)}`, or sudo."
    return "Only root may: use sudo."


def only_owner(uid: int) -> str:
    """The sentence about what only the user that checkpointd runs as, and root, may do."""
    if not uid:
        return "Only root may change anything: use sudo."
    name = user_name(uid)
    return (
        f"Only {name}, the user that checkpointd runs as, and root may change anything: use "
        f"`{_sudo(uid)}`, or sudo."
    )


def _sudo(uid: int) -> str:
    """The command that becomes a user, also one without an account."""
    name = user_name(uid)
    return f"sudo -u '#{uid}'" if name == str(uid) else f"sudo -u {name}"


def _lacks(mode: int, need: int) -> bool:
    """Whether the group has less than is needed; the bits of the group are the second three."""
    return (mode >> 3) & need != need


class DenyingPart(NamedTuple):
    """The part of a path that denies access, its status, and the access that it denies."""

    path: str
    status: os.stat_result
    need: int


def denying_part(path: str, need: int = MAY_READ) -> DenyingPart | None:
    """The first part of an absolute path that denies the access; None if no such part is found."""
    parts = path.split("/")
    above = ["/".join(parts[:end]) or "/" for end in range(1, len(parts))]
    for part, access in [*((directory, MAY_ENTER) for directory in above), (path, need)]:
        try:
            status = os.stat(part)
        except OSError:
            return None
        wanted = access | MAY_ENTER if stat.S_ISDIR(status.st_mode) else access
        if not os.access(part, wanted, effective_ids=True):
            return DenyingPart(part, status, wanted)
    return None


def _by_group(gid: int) -> str:
    import grp

    group, user = group_name(gid), user_name(os.geteuid())
    try:
        members = grp.getgrgid(gid).gr_mem
    except KeyError:
        members = []
    if user in members and gid not in {os.getegid(), *os.getgroups()}:
        return (
            f"{user} is in the group {group} since this session began: log in again, or run "
            f"`newgrp {group}`."
        )
    return (
        f"Join the group {group} (`sudo usermod -aG {group} {user}`, then log in again), or use "
        "sudo."
    )
