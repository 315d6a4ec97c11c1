"""The checkpoints that `checkpoint` state files and symbolic links below a root refer to.

Of a state file only its `model_checkpoint_path` counts, the one that training would resume from:
CheckpointManager carries on when an older one of its list is gone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.formats import LOCAL, state_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.ledger import Entry

_READ_LIMIT = 16 * 1024 * 1024


@dataclass(frozen=True)
class References:
    """Absolute paths that are referred to, and a message for each thing that cannot be read."""

    paths: frozenset[str]
    errors: tuple[str, ...]


def find_linked(directory: str, root: str) -> frozenset[str]:
    """What the symbolic links in a directory and below name, as `spellings` of a root.

    Args:
        directory: need not exist; empty for none.
        root: a root, which the directory may be outside of.
    """
    real_root = os.path.realpath(root)
    found = set[str]()
    for above, below, names in os.walk(directory) if directory else ():
        for path in (os.path.join(above, name) for name in (*below, *names)):
            if os.path.islink(path):
                found.update(spellings(path, root, real_root))
    return frozenset(found)


def spellings(path: str, root: str, real_root: str) -> Iterator[str]:
    """A path as it is, with all links followed, and as it reads below the root."""
    for name in (os.path.normpath(path), os.path.realpath(path)):
        yield name
        for base in (real_root, root):
            if name.startswith(base.rstrip("/") + "/"):
                yield os.path.join(root, name[len(base.rstrip("/")) + 1 :])


def named_by_state(path: str, *, exact: bool) -> Iterator[str]:
    """The paths that a state file names; nothing if it is gone, or no regular file.

    Args:
        path: of the file.
        exact: whether it must be readable: it has exactly the name of a state file.

    Raises:
        OSError: it cannot be read.
    """
    try:
        found = LOCAL.stat(path)
        if not found.is_file or found.size > _READ_LIMIT:
            return
        data = LOCAL.pread(path, 0, found.size)
    except (FileNotFoundError, NotADirectoryError):
        return
    except PermissionError:
        if exact:
            raise
        return
    named = state_file.latest(data)
    if named is None:
        return
    directory = os.path.dirname(path)
    yield os.path.join(directory, named)
    yield os.path.join(directory, os.path.basename(named))


def is_referenced(entry: Entry, references: frozenset[str]) -> bool:
    """Whether a reference names the checkpoint, a file of it, or something inside it."""
    if not references:
        return False
    path = entry.path
    return (
        path.rstrip("/") in references  # of an empty prefix the directory is named
        or any(path + m.name in references for m in entry.generation.members)
        or any(name.startswith(path + "/") for name in references)
    )
