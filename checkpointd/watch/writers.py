"""Whether a process still has a file open for writing, as far as this process can see.

Only processes of the same user are examined, by root those of everybody: the descriptors of others
cannot be read, and in a separate PID namespace the writer may not be visible at all. Then nothing
is reported as closed.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.core.open_files import written_files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.core.checkpoint import Member

_INITIAL_PID_NAMESPACE = 0xEFFFFFFC
"""The inode of the first PID namespace (PROC_PID_INIT_INO in the kernel's proc_ns.h)."""


def sees_all_processes() -> bool:
    """Whether every process of this machine can be seen in /proc."""
    try:
        return os.stat("/proc/self/ns/pid").st_ino == _INITIAL_PID_NAMESPACE
    except OSError:
        return False


@dataclass(frozen=True)
class Written:
    """What is known of files: device and inode of those that are open, paths of closed ones."""

    opened: frozenset[tuple[int, int]] = frozenset()
    closed: frozenset[str] = frozenset()


def written_of(files: Iterable[tuple[str, Member]]) -> Written:
    """Find out which files a process has open for writing, and which certainly none has.

    Args:
        files: path and identity of each file; only those of the same user can be known as closed.
    """
    wanted = dict(files)
    if not wanted:
        return Written()
    names = {os.path.basename(path) for path in wanted}
    everyone = os.geteuid() == 0
    try:
        opened = written_files(names, everyone=everyone)
    except OSError:
        return Written()
    closed = frozenset[str]()
    if sees_all_processes():
        closed = frozenset(
            path
            for path, member in wanted.items()
            if (member.device, member.inode) not in opened and _is_own(path)
        )
    return Written(frozenset(opened), closed)


def _is_own(path: str) -> bool:
    try:
        return os.stat(path).st_uid == os.geteuid()
    except OSError:
        return False
