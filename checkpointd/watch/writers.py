"""Whether a process still has a file open for writing, as far as this process can see.

Only processes of the same user are examined: the descriptors of others cannot be read, and in a
separate PID namespace the writer may not be visible at all. Then nothing is reported as closed.
"""

from __future__ import annotations

import os
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


def files_not_open(files: Iterable[tuple[str, Member]]) -> frozenset[str]:
    """Return the files that no process has open for writing; only files of the same user.

    Args:
        files: path and identity of each file.

    Returns:
        The paths known to be closed; empty if that cannot be known.
    """
    wanted = {path: member for path, member in files if _is_own(path)}
    if not wanted or not sees_all_processes():
        return frozenset()
    names = {os.path.basename(path) for path in wanted}
    try:
        opened = written_files(names)
    except OSError:
        return frozenset()
    return frozenset(p for p, m in wanted.items() if (m.device, m.inode) not in opened)


def _is_own(path: str) -> bool:
    try:
        return os.stat(path).st_uid == os.geteuid()
    except OSError:
        return False
