"""Where the trash of a root is, as the root knows it: its name there contains the root's path.

When the root is renamed or mounted elsewhere, its trash is found again by this, and is renamed.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.ledger import KnownTrash
    from checkpointd.retention.root.record_file import RecordFile
    from checkpointd.retention.trash import TrashPlace

NAME = "trash.json"


def body_of(place: TrashPlace) -> dict[str, Any]:
    """What is written: by the inode a root that was renamed differs from a copy of it.

    Raises:
        OSError: the root is not there.
    """
    return {"directory": place.directory, "inode": os.stat(place.root).st_ino}


def adopt(place: TrashPlace, file: RecordFile | None, known: Iterable[KnownTrash]) -> str:
    """Give the trash of a root that had another path the name that belongs to the path now.

    The file may have been written by the root's owner: what belongs to another user, or to a root
    that is still there, is left alone.

    Args:
        place: where the trash of the root is by its path.
        file: what the root knows.
        known: every trash that the ledger knows.

    Returns:
        The directory that it had; empty if nothing was renamed.

    Raises:
        OSError: it cannot be renamed; it stays where it is.
    """
    body = (file.body if file is not None else None) or {}
    before, inode = body.get("directory"), body.get("inode")
    if place.is_inside or not isinstance(before, str) or before == place.directory:
        return ""
    if inode != os.stat(place.root).st_ino or os.path.lexists(place.directory):
        return ""
    above = os.path.dirname(place.directory)
    beside = f"{above}/{os.path.basename(before)}"  # trash_dir may be mounted elsewhere as well
    if not os.path.isdir(beside) or os.path.islink(beside):
        return ""
    others = [k.root for k in known if k.directory == before and k.root != place.root]
    owners = {os.stat(place.root).st_uid, os.geteuid() or os.stat(place.root).st_uid}
    is_same_owner = os.stat(beside).st_uid in owners
    if not is_same_owner or any(map(os.path.isdir, others)):
        return ""
    os.rename(beside, place.directory)
    return before
