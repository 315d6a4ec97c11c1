"""The mount that a path or an open file is on, as /proc shows it, and what is known of its type."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_REMOTE = re.compile(
    r"nfs.*|cifs|smb\d*|smbfs|fuse|fuse\..*|fuseblk|9p|ceph|lustre|gpfs|beegfs.*|virtiofs|afs|glusterfs"
)
_OCTAL = re.compile(r"\\([0-7]{3})")
_LEAST_FIELDS = 5
MOUNTINFO = "/proc/self/mountinfo"


@dataclass(frozen=True)
class Mount:
    """One mount: `root` of the file system `device` of a `type` is mounted at `point`."""

    device: str
    root: str
    point: str
    type: str


def read_mountinfo() -> str:
    """Return the mounts of this process as text, see proc_pid_mountinfo(5); empty if unknown."""
    try:
        return Path(MOUNTINFO).read_bytes().decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def mount_of(real: str, mountinfo: str) -> Mount | None:
    """Return the mount that a path without links is on: the deepest, and of these the last."""
    mount = None
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < _LEAST_FIELDS:
            continue
        point = _unescape(fields[4])
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and (mount is None or len(point) >= len(mount.point)):
            mount = Mount(fields[2], _unescape(fields[3]), point, right.split(" ")[0])
    return mount


def mount_id(file: int) -> str | None:
    """Return the id of the mount that an open file is on; None where /proc does not show it."""
    try:
        with open(f"/proc/self/fdinfo/{file}", encoding="ascii") as info:
            return next((line.split()[1] for line in info if line.startswith("mnt_id:")), None)
    except OSError:
        return None


def file_system(path: str, mountinfo: str | None = None) -> str:
    """Return the type of the file system of a path, such as `ext4`; empty if unknown."""
    mount = mount_of(os.path.realpath(path), read_mountinfo() if mountinfo is None else mountinfo)
    return mount.type if mount else ""


def is_remote(kind: str) -> bool:
    """Whether other machines can change files on a file system of a type without an event here."""
    return _REMOTE.fullmatch(kind) is not None


def _unescape(field: str) -> str:
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)
