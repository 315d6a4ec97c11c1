"""Which files processes have open, for writing or at all, as far as /proc shows it.

The descriptors of another user's processes are visible to root alone, and those of another PID
namespace or another machine not at all.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

_INIT = "1"
"""The machine's first process: it writes no checkpoints, and may hide its descriptors from root."""

_MAX_DESCRIPTORS = 20_000
_MAX_DESCRIPTORS_OF_EVERYONE = 500_000
_DELETED = " (deleted)"


def written_files(names: AbstractSet[str], *, everyone: bool = False) -> set[tuple[int, int]]:
    """Return the identities (device, inode) of files with these names that are open for writing.

    Args:
        names: base names; other files are not examined.
        everyone: whether to examine the processes of all users, and to skip those that hide their
            descriptors; else only those of this process's user.

    Raises:
        OSError: a process of this user hides its descriptors, or there are too many of them.
    """
    refused: tuple[type[OSError], ...] = (FileNotFoundError, ProcessLookupError)
    if everyone:
        refused = (OSError,)
    opened: set[tuple[int, int]] = set()
    for pid, descriptor in _descriptors(refused, everyone=everyone):
        with contextlib.suppress(*refused):
            opened.update(_writes(pid, descriptor, names))
    return opened


def used_files(names: AbstractSet[str]) -> set[tuple[int, int]]:
    """Return the identities of files with these names that other processes have open or mapped.

    The processes of all users are examined, and those that hide their descriptors skipped.

    Raises:
        OSError: there are too many open files.
    """
    mine = str(os.getpid())
    used: set[tuple[int, int]] = set()
    mapped: set[str] = set()
    for pid, descriptor in _descriptors((OSError,), everyone=True):
        if pid == mine:
            continue
        with contextlib.suppress(OSError):
            link = f"/proc/{pid}/fd/{descriptor}"
            if _is_one_of(os.readlink(link), names):
                used.add(_identity(link))
        if pid not in mapped:
            mapped.add(pid)
            with contextlib.suppress(OSError):
                used.update(_mapped(pid, names))
    return used


def _descriptors(
    refused: tuple[type[OSError], ...], *, everyone: bool
) -> Iterator[tuple[str, str]]:
    """Yield process and descriptor of every open file that can be seen."""
    limit = _MAX_DESCRIPTORS_OF_EVERYONE if everyone else _MAX_DESCRIPTORS
    seen = 0
    for pid in _process_ids():
        try:
            if not everyone and os.stat(f"/proc/{pid}").st_uid != os.geteuid():
                continue
            descriptors = os.listdir(f"/proc/{pid}/fd")
        except refused:
            continue
        seen += len(descriptors)
        if seen > limit:
            raise OSError("there are too many open files to examine")
        for descriptor in descriptors:
            yield pid, descriptor


def _process_ids() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdecimal() and name != _INIT]


def _is_one_of(target: str, names: AbstractSet[str]) -> bool:
    path = target.removesuffix(_DELETED)
    return path.startswith("/") and os.path.basename(path) in names


def _identity(path: str) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _writes(pid: str, descriptor: str, names: AbstractSet[str]) -> Iterator[tuple[int, int]]:
    link = f"/proc/{pid}/fd/{descriptor}"
    if not _is_one_of(os.readlink(link), names):
        return
    with open(f"/proc/{pid}/fdinfo/{descriptor}", encoding="ascii") as info:
        flags = next((int(line.split()[1], 8) for line in info if line.startswith("flags:")), 0)
    if flags & os.O_ACCMODE != os.O_RDONLY:
        yield _identity(link)


def _mapped(pid: str, names: AbstractSet[str]) -> Iterator[tuple[int, int]]:
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as maps:
        for line in maps:
            path = line.rstrip("\n")[73:].lstrip()
            if path and _is_one_of(path, names):
                with contextlib.suppress(FileNotFoundError):
                    yield _identity(path)
