"""Roots inside one another: who prunes a directory around a root, or one inside it.

Somebody does who holds the lock of that directory now, or whose ledger it belongs to: the lock is
held for each round only, so it says nothing of the rounds before and after.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from checkpointd.formats.names import ROOT_RECORDS
from checkpointd.retention.root import owner
from checkpointd.retention.root.inspection import read_records, unreadable
from checkpointd.retention.root.lock import holder_of

if TYPE_CHECKING:
    from collections.abc import Iterable


def pruned_above(root: str, identity: str) -> str:
    """Return a sentence about who else prunes a directory around a root; empty if nobody does.

    Args:
        root: the watched root.
        identity: the id of this process's ledger.
    """
    above = os.path.dirname(os.path.realpath(root))
    while True:
        if sentence := _pruned(above, identity, "contains this root"):
            return sentence
        if above == os.path.dirname(above):
            return ""
        above = os.path.dirname(above)


def pruned_below(root: str, paths: Iterable[str], identity: str) -> str:
    """Return a sentence about who else prunes a directory on the way from a root to some paths.

    Args:
        root: the watched root.
        paths: checkpoints below it.
        identity: the id of this process's ledger.
    """
    seen = {root.rstrip("/") or "/"}
    for path in paths:
        above = os.path.dirname(path)
        while above not in seen and len(above) > len(root):
            seen.add(above)
            if sentence := _pruned(above, identity, "is inside this root"):
                return sentence
            above = os.path.dirname(above)
    return ""


def _pruned(directory: str, identity: str, where: str) -> str:
    if holder := holder_of(directory):
        return f"The directory {directory!r}, which {where}, is pruned by {holder}."
    if not os.path.isdir(f"{directory}/{ROOT_RECORDS}"):
        return ""
    try:
        file = read_records(directory)[owner.NAME]
    except OSError as error:
        return f"The directory {directory!r} {where}. {unreadable(directory, error)}"
    recorded_owner = None if file is None else owner.owner_in(file)
    if file is None or (recorded_owner is not None and recorded_owner.ledger == identity):
        return ""
    return (
        f"The directory {directory!r}, which {where}, is pruned by another checkpointd with a "
        f"ledger of its own; if none prunes there any more, remove {directory}/{ROOT_RECORDS}."
    )
