"""Which checkpoints are in a directory, by their names, and which files each consists of."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from checkpointd.core.checkpoint import Generation
from checkpointd.core.format_specs import GOLDEN_SUFFIX, Format, spec_of
from checkpointd.formats import names
from checkpointd.formats.directories import format_of, tree
from checkpointd.formats.facts import Candidate, Recognised
from checkpointd.formats.members import member_of, members_of
from checkpointd.formats.storage import LOCAL
from checkpointd.formats.unfinished import unfinished_bundles, unfinished_savedmodel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from checkpointd.core.checkpoint import Member
    from checkpointd.formats.storage import Entry, Storage

SHARD = re.compile(r"(?s)(?P<stem>.+)_\d{5}\.weights\.h5")
"""One file of Keras 3's sharded weights, if a map of that stem is beside it."""


def recognise(directory: str, storage: Storage = LOCAL) -> Recognised:
    """List the candidates in one directory; sub-directories are left to the caller.

    Symbolic links are neither candidates nor walked: what they name is found where it is. A
    link beside regular files of the same checkpoint, such as a shard on another disk, is a member.
    A checkpoint that is a directory is found where that directory is recognised, beside whatever
    else is there that is no part of it; its parts are neither found nor walked.

    Raises:
        OSError: the directory cannot be listed.
    """
    entries = storage.scandir(directory)
    candidates: list[Candidate] = []
    whole = format_of(directory, entries, storage)
    if whole is not None:
        members = tree(directory, whole, storage)
        if not members and whole is Format.SAVEDMODEL:
            members = unfinished_savedmodel(directory, storage)
        candidates.extend(_candidates(directory, whole, members))
        entries = [entry for entry in entries if not names.belongs(entry.name, whole)]
    files = _files(directory, entries)
    descend = sorted(
        os.path.join(directory, entry.name)
        for entry in entries
        if entry.is_dir and not names.is_temporary_directory(entry.name)
    )
    links = list[str]()
    present = {part["prefix"] for name in files if (part := names.BUNDLE_PART.fullmatch(name))}
    for prefix, parts in unfinished_bundles(directory, entries, present, storage).items():
        path = os.path.join(directory, prefix)
        candidates.extend(_candidates(path, Format.TF_CHECKPOINT, members_of(path, parts, storage)))
    top = os.path.join(directory, "")
    for name, hint, parts in _group(files):
        path = top + name
        if all(parts.values()):
            links.append(os.path.normpath(path + min(parts)))
            continue
        candidates.extend(_candidates(path, hint, members_of(path, parts, storage)))
    beside = [entry.name for entry in entries if entry.name.endswith(GOLDEN_SUFFIX)]
    return Recognised(
        tuple(sorted(candidates, key=lambda f: f.path)),
        tuple(descend),
        frozenset(os.path.join(directory, name[: -len(GOLDEN_SUFFIX)]) for name in beside),
        managed=any(entry.name == names.STATE_FILE for entry in entries),
        links=tuple(links),
    )


def generation_of(
    path: str,
    format: Format,
    storage: Storage = LOCAL,
) -> Generation:
    """Stat every member of a checkpoint again: the same ones that `recognise` takes for members.

    One that consists of links alone has a generation too: a user may have named it.

    Raises:
        FileNotFoundError: nothing of it is there any more.
        OSError: it cannot be looked at.
    """
    spec = spec_of(format)
    if spec is not None and spec.directory_test and storage.stat(path).is_dir:
        members = tree(path, format, storage)
        if not members and format is Format.SAVEDMODEL:
            members = unfinished_savedmodel(path, storage)
    elif format is Format.TF_CHECKPOINT or path.endswith(names.WEIGHTS_MAP):
        directory, name = os.path.split(path)
        kind = Format.TF_CHECKPOINT if format is Format.TF_CHECKPOINT else Format.HDF5_WEIGHTS
        stem = name.removesuffix(names.WEIGHTS_MAP)
        entries = [e for e in storage.scandir(directory or ".") if e.name.startswith(stem)]
        grouped = _group(_files(directory, entries))
        parts = next((p for n, hint, p in grouped if (n, hint) == (name, kind)), {})
        members = members_of(path, parts, storage)
        if not members and format is Format.TF_CHECKPOINT:
            left = unfinished_bundles(directory or ".", entries, (), storage).get(name, {})
            members = members_of(path, left, storage)
        if not members and format is Format.TF_CHECKPOINT and storage.stat(path).is_file:
            members = (member_of("", storage.stat(path)),)  # see `tf1_format`
    else:
        return Generation((member_of("", storage.stat(path)),))
    if not members:
        raise FileNotFoundError(2, "No file of the checkpoint is there any more", path)
    return Generation(members)


def _candidates(path: str, hint: Format, members: tuple[Member, ...]) -> tuple[Candidate, ...]:
    """Make a candidate, or none when every member went away meanwhile."""
    return (Candidate(path, hint, Generation(members)),) if members else ()


def _files(directory: str, entries: Iterable[Entry]) -> dict[str, bool]:
    """The names in a directory that may be of checkpoints, and whether each is a link."""
    base = os.path.basename(os.path.abspath(directory))
    return {
        entry.name: entry.is_symlink
        for entry in entries
        if (entry.is_file or entry.is_symlink)
        and not names.is_companion(entry.name)
        and not names.is_temporary_file(entry.name, base)
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
    bundled = {name: part for name in files if (part := names.BUNDLE_PART.fullmatch(name))}
    prefixes = {part["prefix"] for part in bundled.values()}
    for name, link in files.items():
        stem, extension = os.path.splitext(name) if prefixes else ("", "")
        part = bundled.get(name)
        shard = SHARD.fullmatch(name) if shards else None
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
