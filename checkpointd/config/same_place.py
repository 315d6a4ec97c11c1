"""Whether two directories are the same, or one is inside the other, by whatever path.

Symbolic links are resolved, and bind mounts are looked up in /proc/self/mountinfo.
"""

from __future__ import annotations

import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path

_MOUNTINFO = Path("/proc/self/mountinfo")
_OCTAL = re.compile(r"\\([0-7]{3})")
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
    found: dict[Path, Place] = {}

    def resolve() -> None:
        try:
            mounts = _MOUNTINFO.read_bytes().decode("utf-8", "surrogateescape")
        except OSError:
            mounts = ""
        for path in paths:
            found[path] = _place(os.path.realpath(path), mounts)

    thread = threading.Thread(target=resolve, name="resolve-roots", daemon=True)
    thread.start()
    thread.join(_SECONDS)
    return dict(found)


def _place(real: str, mounts: str) -> Place:
    point, place = "", Place("", real)
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 5:  # noqa: PLR2004 - the mount point is the fifth field
            continue
        where = _unescaped(fields[4])
        inside = real == where or real.startswith(where.rstrip("/") + "/")
        if inside and len(where) >= len(point):
            point = where
            below = real[len(where.rstrip("/")) :].lstrip("/")
            place = Place(
                fields[2], os.path.normpath(f"{_unescaped(fields[3]).rstrip('/')}/{below}")
            )
    return place


def _unescaped(field: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)
