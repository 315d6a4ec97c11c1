"""The file system of a root, and whether its events are complete."""

from __future__ import annotations

import os
import re
from pathlib import Path

_REMOTE = re.compile(
    r"nfs.*|cifs|smb\d*|smbfs|fuse|fuse\..*|fuseblk|9p|ceph|lustre|gpfs|beegfs.*|virtiofs|afs|glusterfs"
)
_OCTAL = re.compile(r"\\([0-7]{3})")
MOUNTINFO = "/proc/self/mountinfo"


def file_system(path: str, mountinfo: str | None = None) -> str:
    """Return the type of the file system of a path, such as `ext4`; empty if unknown.

    `mountinfo` is the text of /proc/self/mountinfo, see proc_pid_mountinfo(5).
    """
    if mountinfo is None:
        try:
            mountinfo = Path(MOUNTINFO).read_bytes().decode("utf-8", "surrogateescape")
        except OSError:
            return ""
    real = os.path.realpath(path)
    best, kind = "", ""
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        if len(fields) < 5 or not right:  # noqa: PLR2004 - the mount point is the fifth field
            continue
        point = _unescape(fields[4])
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, right.split(" ")[0]
    return kind


def is_remote(kind: str) -> bool:
    """Whether other machines can change files there without an event here."""
    return _REMOTE.fullmatch(kind) is not None


def _unescape(field: str) -> str:
    if "\\" not in field:
        return field
    return _OCTAL.sub(lambda match: chr(int(match[1], 8)), field)
