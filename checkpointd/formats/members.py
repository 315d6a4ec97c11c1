"""The members of a checkpoint: where each is, and what it is known by."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from checkpointd.core.checkpoint import Member

if TYPE_CHECKING:
    from checkpointd.formats.storage import Stat, Storage


def member_path(path: str, name: str) -> str:
    """Return where a member of the checkpoint at `path` is.

    It is `path + name`, but for the shards of a `.weights.json`: they are beside it, and are
    named `/../<file>`, as if the map were a directory.
    """
    if name.startswith("/../"):
        return os.path.join(os.path.dirname(path), name[4:])
    return path + name


def member_of(name: str, status: Stat) -> Member:
    """Note what a file is known by."""
    return Member(
        name, status.device, status.inode, status.size, status.mtime_ns, status.ctime_ns, status.tag
    )


def members_of(path: str, parts: dict[str, bool], storage: Storage) -> tuple[Member, ...]:
    """Stat members; a link that leads nowhere, or that we may not follow, is none."""
    members: list[Member] = []
    for part, link in parts.items():
        try:
            seen = storage.stat(member_path(path, part) if part else path)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            if link:
                continue
            raise
        if seen.is_file:
            members.append(member_of(part, seen))
    if len(members) > 1:
        members.sort(key=lambda member: member.name)
    return tuple(members)
