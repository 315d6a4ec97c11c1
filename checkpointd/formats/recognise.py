"""Which checkpoints lie in a directory, by their names, and which files each consists of."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from checkpointd.checkpoint import Format, Generation, Member
from checkpointd.formats import names
from checkpointd.formats.facts import Found, Recognised
from checkpointd.formats.storage import LOCAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from checkpointd.formats.storage import Entry, Stat, Storage

SHARD = re.compile(r"(?s)(?P<stem>.+)_\d{5}\.weights\.h5")
"""One file of Keras 3's sharded weights, if a map of that stem lies beside it."""

_SAVEDMODEL_PARTS = {
    "variables",
    "assets",
    "assets.extra",
    "debug",
    "fingerprint.pb",
    "keras_metadata.pb",
}


def recognise(directory: str, storage: Storage = LOCAL) -> Recognised:
    """List the candidates in one directory; sub-directories are left to the caller.

    Symbolic links are neither candidates nor walked: what they name is found where it lies. A
    link beside regular files of the same checkpoint, such as a shard on another disk, is a member.
    A SavedModel is found where its own directory is recognised, and nothing inside it is.

    Raises:
        OSError: the directory cannot be listed.
    """
    entries = storage.scandir(directory)
    if is_savedmodel(directory, entries, storage):
        members = tree(directory, storage)
        return Recognised(_found(directory, Format.SAVEDMODEL, members), ())
    files = _files(directory, entries)
    descend = sorted(
        os.path.join(directory, entry.name)
        for entry in entries
        if entry.is_dir and not names.is_temporary_directory(entry.name)
    )
    found: list[Found] = []
    for name, hint, parts in _group(files):
        if all(parts.values()):
            continue
        path = os.path.join(directory, name)
        found.extend(_found(path, hint, _members(path, parts, storage)))
    beside = [entry.name for entry in entries if entry.name.endswith(names.GOLDEN)]
    return Recognised(
        tuple(sorted(found, key=lambda f: f.path)),
        tuple(descend),
        frozenset(os.path.join(directory, name[: -len(names.GOLDEN)]) for name in beside),
        managed=any(entry.name == names.STATE_FILE for entry in entries),
    )


def generation_of(
    path: str,
    format: Format,  # noqa: A002 - INTERFACE's word
    storage: Storage = LOCAL,
) -> Generation:
    """Look at every member of a checkpoint anew: of the same that `recognise` takes for members.

    One that consists of links alone has a generation too: a user may have named it.

    Raises:
        FileNotFoundError: nothing of it is there any more.
        OSError: it cannot be looked at.
    """
    if format is Format.SAVEDMODEL:
        members = tree(path, storage)
    elif format is Format.TF_CHECKPOINT or path.endswith(names.WEIGHTS_MAP):
        directory, name = os.path.split(path)
        kind = Format.TF_CHECKPOINT if format is Format.TF_CHECKPOINT else Format.HDF5_WEIGHTS
        stem = name.removesuffix(names.WEIGHTS_MAP)
        entries = [e for e in storage.scandir(directory or ".") if e.name.startswith(stem)]
        grouped = _group(_files(directory, entries))
        parts = next((p for n, hint, p in grouped if (n, hint) == (name, kind)), {})
        members = _members(path, parts, storage)
    else:
        return Generation((_member("", storage.stat(path)),))
    if not members:
        raise FileNotFoundError(2, "No file of the checkpoint is there any more", path)
    return Generation(members)


def member_path(path: str, name: str) -> str:
    """Say where a member of the checkpoint at `path` lies.

    It is `path + name`, but for the shards of a `.weights.json`: they lie beside it, and are
    named `/../<file>`, as if the map were a directory.
    """
    if name.startswith("/../"):
        return os.path.join(os.path.dirname(path), name[4:])
    return path + name


def _found(path: str, hint: Format, members: tuple[Member, ...]) -> tuple[Found, ...]:
    """Make a candidate, or none when every member went away meanwhile."""
    return (Found(path, hint, Generation(members)),) if members else ()


def _files(directory: str, entries: Iterable[Entry]) -> dict[str, bool]:
    """The names in a directory that may be of checkpoints, and whether each is a link."""
    own = os.path.basename(os.path.abspath(directory))
    return {
        entry.name: entry.is_symlink
        for entry in entries
        if (entry.is_file or entry.is_symlink)
        and not names.is_companion(entry.name)
        and not names.is_temporary_file(entry.name, own)
    }


def _group(files: dict[str, bool]) -> Iterator[tuple[str, Format, dict[str, bool]]]:
    """Put files together that make one checkpoint: this alone decides what its members are.

    Args:
        files: names in one directory, and whether each is a link.

    Yields:
        Its name, hint, and its members' names with whether each is a link.
    """
    bundles: dict[str, dict[str, bool]] = {}
    shards: dict[str, dict[str, bool]] = {
        name[: -len(names.WEIGHTS_MAP)]: {"": link}
        for name, link in files.items()
        if name.endswith(names.WEIGHTS_MAP)
    }
    prefixes = {part["prefix"] for name in files if (part := names.BUNDLE_PART.fullmatch(name))}
    for name, link in files.items():
        stem, extension = os.path.splitext(name)
        part = names.BUNDLE_PART.fullmatch(name)
        shard = SHARD.fullmatch(name)
        if part:
            bundles.setdefault(part["prefix"], {})[name[len(part["prefix"]) :]] = link
        elif extension == names.META_GRAPH and stem in prefixes:
            bundles.setdefault(stem, {})[extension] = link
        elif shard and shard["stem"] in shards:
            shards[shard["stem"]][f"/../{name}"] = link
        elif not name.endswith(names.WEIGHTS_MAP):
            yield name, names.hint_of(name), {"": link}
    for prefix, parts in bundles.items():
        yield prefix, Format.TF_CHECKPOINT, parts
    for stem, parts in shards.items():
        yield stem + names.WEIGHTS_MAP, Format.HDF5_WEIGHTS, parts


def _member(name: str, seen: Stat) -> Member:
    return Member(name, seen.device, seen.inode, seen.size, seen.mtime_ns, seen.ctime_ns)


def _members(path: str, parts: dict[str, bool], storage: Storage) -> tuple[Member, ...]:
    """Look at members; a link that leads nowhere, or where we may not look, is none."""
    members = []
    for part, link in parts.items():
        try:
            seen = storage.stat(member_path(path, part))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            if link:
                continue
            raise
        if seen.is_file:
            members.append(_member(part, seen))
    return tuple(sorted(members, key=lambda member: member.name))


def tree(path: str, storage: Storage) -> tuple[Member, ...]:
    """Every regular file below a directory; links to files count, links to directories do not.

    What `names.is_left_out` names is no member. A sub-directory that goes away meanwhile has no
    files; the directory itself must be there.
    """
    parts: dict[str, bool] = {}
    left = [""]
    while left:
        below = left.pop()
        try:
            entries = storage.scandir(path + below)
        except (FileNotFoundError, NotADirectoryError):
            if not below:
                raise
            continue
        own = os.path.basename(below or os.path.abspath(path))
        for entry in entries:
            if names.is_left_out(entry.name, own, is_directory=entry.is_dir):
                continue
            if entry.is_dir:
                left.append(f"{below}/{entry.name}")
            else:
                parts[f"{below}/{entry.name}"] = entry.is_symlink
    return _members(path, parts, storage)


def is_savedmodel(directory: str, entries: list[Entry], storage: Storage) -> bool:
    """Say whether a directory is a SavedModel, or one that is just being written.

    Its writers put `variables/` there first (DESIGN, "Measured facts"). Such a directory counts
    when that holds a bundle called `variables`, or when it is empty with nothing foreign beside.
    """
    listed = {entry.name for entry in entries if entry.is_dir or entry.is_file or entry.is_symlink}
    if any(name in listed for name in names.GRAPH_FILES):
        return True
    if not any(entry.name == "variables" and entry.is_dir for entry in entries):
        return False
    try:
        inside = [entry.name for entry in storage.scandir(os.path.join(directory, "variables"))]
    except OSError:
        return False
    own = os.path.basename(os.path.abspath(directory))
    return any(name == "variables_temp" or name.startswith("variables.") for name in inside) or (
        not inside
        and all(name in _SAVEDMODEL_PARTS or names.is_temporary_file(name, own) for name in listed)
    )
