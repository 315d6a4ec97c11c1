"""Which files processes have open for writing, as far as /proc shows it.

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
            with contextlib.suppress(*refused):
                opened.update(_writes(pid, descriptor, names))
    return opened


def _process_ids() -> list[str]:
    return [name for name in os.listdir("/proc") if name.isdecimal() and name != _INIT]


def _writes(pid: str, descriptor: str, names: AbstractSet[str]) -> Iterator[tuple[int, int]]:
    link = f"/proc/{pid}/fd/{descriptor}"
    target = os.readlink(link).removesuffix(_DELETED)
    if not target.startswith("/") or os.path.basename(target) not in names:
        return
    with open(f"/proc/{pid}/fdinfo/{descriptor}", encoding="ascii") as info:
        flags = next((int(line.split()[1], 8) for line in info if line.startswith("flags:")), 0)
    if flags & os.O_ACCMODE != os.O_RDONLY:
        status = os.stat(link)
        yield status.st_dev, status.st_ino
