"""Whether anybody still has a file open for writing, as far as this process may know.

Only our own user's processes are asked: others' descriptors cannot be read, and in a PID
namespace of our own the writer may not be visible at all. Whoever cannot know says so.
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
    """Those of some files of our own user that none of its processes holds open for writing.

    Args:
        files: path and identity of each file.

    Returns:
        The paths known to be closed; empty when it cannot be known.
    """
    wanted = {path: member for path, member in files if _is_ours(path)}
    if not wanted or not sees_all_processes():
        return frozenset()
    names = {os.path.basename(path) for path in wanted}
    try:
        opened = _written_to(names)
    except OSError:
        return frozenset()
    return frozenset(p for p, m in wanted.items() if (m.device, m.inode) not in opened)


def _is_ours(path: str) -> bool:
    try:
        return os.stat(path).st_uid == os.geteuid()
    except OSError:
        return False


def _written_to(names: set[str]) -> set[tuple[int, int]]:
    """The identities of the files with one of these names that our processes may write to.

    Raises:
        OSError: a process of ours hides its descriptors, or there are too many to look at.
    """
    opened: set[tuple[int, int]] = set()
    seen = 0
    for pid in os.listdir("/proc"):
        if not pid.isdecimal() or pid == _INIT:
            continue
        directory = f"/proc/{pid}/fd"
        try:
            if os.stat(f"/proc/{pid}").st_uid != os.geteuid():
                continue
            descriptors = os.listdir(directory)
        except (FileNotFoundError, ProcessLookupError):
            continue
        seen += len(descriptors)
        if seen > _MAX_DESCRIPTORS:
            raise OSError("there are too many open files to look at")
        for descriptor in descriptors:
            try:
                identity = _writes(pid, descriptor, names)
            except (FileNotFoundError, ProcessLookupError):
                continue
            if identity is not None:
                opened.add(identity)
    return opened


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
