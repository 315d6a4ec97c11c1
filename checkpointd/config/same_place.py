"""Whether two directories are the same, or one is inside the other, by whatever path.

Symbolic links are resolved, and bind mounts are looked up in /proc/self/mountinfo.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass
from pathlib import Path

from checkpointd.core.mounts import mount_of, read_mountinfo

_SECONDS = 2.0


@dataclass(frozen=True)
class Place:
    """A directory by its file system, and by its path in that."""

    device: str
    path: str

    def overlaps(self, other: Place) -> bool:
        """Whether they are the same directory, or one is inside the other."""
        if self.device != other.device:
            return False
        mine, others = Path(self.path), Path(other.path)
        return mine.is_relative_to(others) or others.is_relative_to(mine)

    def contains(self, other: Place) -> bool:
        """Whether the other one is this directory, or inside it."""
        return self.device == other.device and Path(other.path).is_relative_to(self.path)


def places_of(paths: list[Path]) -> dict[Path, Place]:
    """Where paths lead; what does not answer within two seconds is left out."""
    places: dict[Path, Place] = {}

    def resolve() -> None:
        mountinfo = read_mountinfo()
        for path in paths:
            places[path] = _place(os.path.realpath(path), mountinfo)

    thread = threading.Thread(target=resolve, name="resolve-roots", daemon=True)
    thread.start()
    thread.join(_SECONDS)
    return dict(places)


def _place(real: str, mountinfo: str) -> Place:
    mount = mount_of(real, mountinfo)
    if mount is None:
        return Place("", real)
    below = real[len(mount.point.rstrip("/")) :].lstrip("/")
    return Place(mount.device, os.path.normpath(f"{mount.root.rstrip('/')}/{below}"))
