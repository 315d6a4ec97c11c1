"""The checkpoints that `checkpoint` state files and symbolic links below a root refer to.

Of a state file only its `model_checkpoint_path` counts, the one that training would resume from:
CheckpointManager carries on when an older one of its list is gone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.formats import LOCAL, state_file
from checkpointd.formats.names import TRASH

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.ledger import Entry

_READ_LIMIT = 16 * 1024 * 1024


@dataclass(frozen=True)
class References:
    """Absolute paths that are referred to, and a message for each thing that cannot be read."""

    paths: frozenset[str]
    errors: tuple[str, ...]


def find_references(root: str, links: str = "") -> References:
    """Search a root for references; paths below it begin as the root is written, if possible.

    An empty or unreadable root is an error: it is more likely not mounted than not used.

    Args:
        root: the root.
        links: another directory with links that count as well; it need not exist.
    """
    errors: list[str] = []
    paths: set[str] = set()
    real_root = os.path.realpath(root)
    entries = list(_walk(root, errors))
    for entry in entries:
        try:
            for named in _named_by(entry):
                paths.update(_spellings(named, root, real_root))
        except OSError as error:
            errors.append(f"{entry.path!r} cannot be read ({error.strerror})")
    if not entries and not errors:
        errors.append(f"{root!r} is empty: is it mounted?")
    for entry in _walk(links, []) if links else ():
        if entry.is_symlink():
            paths.update(_spellings(entry.path, root, real_root))
    return References(frozenset(paths), tuple(errors))


def _walk(root: str, errors: list[str]) -> Iterator[os.DirEntry[str]]:
    """Everything below a root but directories and the trash; links are not followed."""
    left = [root]
    while left:
        directory = left.pop()
        try:
            with os.scandir(directory) as listed:
                for entry in listed:
                    if not entry.is_dir(follow_symlinks=False):
                        yield entry
                    elif directory != root or entry.name != TRASH:
                        left.append(entry.path)
        except FileNotFoundError:
            if directory == root:
                errors.append(f"{root!r} does not exist")
        except OSError as error:
            errors.append(f"{directory!r} cannot be listed ({error.strerror})")


def _named_by(entry: os.DirEntry[str]) -> Iterator[str]:
    if entry.is_symlink():
        yield entry.path
    if entry.name.startswith(state_file.NAME):
        yield from _read_state(entry.path, exact=entry.name == state_file.NAME)


def _spellings(path: str, root: str, real_root: str) -> Iterator[str]:
    """A path as it is, with all links followed, and as it reads below the root."""
    for name in (os.path.normpath(path), os.path.realpath(path)):
        yield name
        for base in (real_root, root):
            if name.startswith(base.rstrip("/") + "/"):
                yield os.path.join(root, name[len(base.rstrip("/")) + 1 :])


def _read_state(path: str, *, exact: bool) -> Iterator[str]:
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
