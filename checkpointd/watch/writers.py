"""Whether a process still has a file open for writing, as far as this process can see.

Only processes of the same user are examined: the descriptors of others cannot be read, and in a
separate PID namespace the writer may not be visible at all. Then nothing is reported as closed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.core.checkpoint import Member

_INITIAL_PID_NAMESPACE = 0xEFFFFFFC
"""The inode of the first PID namespace (PROC_PID_INIT_INO in the kernel's proc_ns.h)."""

_INIT = "1"
"""The machine's first process: it writes no checkpoints, and may hide its descriptors from root."""

_MAX_DESCRIPTORS = 20_000
_DELETED = " (deleted)"


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
        opened = _written_to(names)
    except OSError:
        return frozenset()
    return frozenset(p for p, m in wanted.items() if (m.device, m.inode) not in opened)


def _is_own(path: str) -> bool:
    try:
        return os.stat(path).st_uid == os.geteuid()
    except OSError:
        return False


def _written_to(names: set[str]) -> set[tuple[int, int]]:
    """Return the identities of files with one of these names that are open for writing.

    Raises:
        OSError: a process of this user hides its descriptors, or there are too many of them.
    """
    opened: set[tuple[int, int]] = set()
    seen = 0
    for pid in _process_ids():
        directory = f"/proc/{pid}/fd"
        try:
            if os.stat(f"/proc/{pid}").st_uid != os.geteuid():
                continue
            descriptors = os.listdir(directory)
        except (FileNotFoundError, ProcessLookupError):
            continue
        seen += len(descriptors)
        if seen > _MAX_DESCRIPTORS:
            raise OSError("there are too many open files to examine")
        for descriptor in descriptors:
            try:
                identity = _writes(pid, descriptor, names)
            except (FileNotFoundError, ProcessLookupError):
                continue
            if identity is not None:
                opened.add(identity)
    return opened


def _process_ids() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdecimal() and name != _INIT]


def _writes(pid: str, descriptor: str, names: set[str]) -> tuple[int, int] | None:
    link = f"/proc/{pid}/fd/{descriptor}"
    target = os.readlink(link)
    if not target.startswith("/") or os.path.basename(target.removesuffix(_DELETED)) not in names:
        return None
    with open(f"/proc/{pid}/fdinfo/{descriptor}", encoding="ascii") as info:
        flags = next((int(line.split()[1], 8) for line in info if line.startswith("flags:")), 0)
    if flags & os.O_ACCMODE == os.O_RDONLY:
        return None
    status = os.stat(link)
    return status.st_dev, status.st_ino
