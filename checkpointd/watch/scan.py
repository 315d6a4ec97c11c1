"""What is below a root now: a walk that decides, whatever events reported.

A listing that fails is an error in its result, and never means that checkpoints are gone.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.core.urls import is_url
from checkpointd.formats import Candidate, ProbeState, locate, probe, recognise, state_file
from checkpointd.formats.storage import LOCAL, Storage
from checkpointd.series.names import parse_name
from checkpointd.watch.globs import Selection, is_reserved, select

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from checkpointd.core.checkpoint import Generation
    from checkpointd.series.labels import ParsedName

_STATE_FILE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Listing:
    """One directory: the selected checkpoints in it and the subdirectories to walk.

    `recorded` and `managed` are as in `formats.Recognised`; `links` are those of the links whose
    names are selected.
    """

    directory: str
    candidates: tuple[Candidate, ...]
    subdirectories: tuple[str, ...]
    error: OSError | None = None
    recorded: frozenset[str] = frozenset()
    managed: bool = False
    links: tuple[str, ...] = ()


def next_listing() -> int:
    """Return a number for a listing that no other has, of any watch and any start of the daemon."""
    return secrets.randbits(62) or 1


def relative_to(root: str, path: str) -> str:
    """Return a path below the root, relative to it; empty for the root itself."""
    if path == root:
        return ""
    prefix = root if root.endswith("/") else root + "/"
    return path.removeprefix(prefix)


def list_directory(
    directory: str, root: str, selection: Selection, storage: Storage = LOCAL
) -> Listing:
    """List one directory; an error is returned with the listing, not raised."""
    try:
        recognised = recognise(directory, storage)
    except OSError as error:
        return Listing(directory, (), (), error)
    candidates = recognised.found
    if not selection.takes_all:
        candidates = tuple(c for c in candidates if selection.takes(relative_to(root, c.path)))
    subdirectories = tuple(
        path
        for path in recognised.descend
        if not is_reserved(os.path.basename(path)) and selection.enters(relative_to(root, path))
    )
    return Listing(
        directory,
        candidates,
        subdirectories,
        recorded=recognised.recorded,
        managed=recognised.managed,
        links=tuple(p for p in recognised.links if selection.enters(relative_to(root, p))),
    )


def read_stems(directory: str, storage: Storage = LOCAL) -> frozenset[str]:
    """Return the prefixes of versions in a directory, from its `checkpoint` state file.

    Empty where it cannot be read; only the beginning of a very long list counts.
    """
    path = os.path.join(directory, state_file.NAME)
    try:
        return state_file.stems(storage.pread(path, 0, _STATE_FILE_BYTES))
    except OSError:
        return frozenset()


def walk(top: str, root: str, selection: Selection, storage: Storage = LOCAL) -> Iterator[Listing]:
    """List a directory and all below it, one at a time; only names are kept in memory."""
    todo = [top]
    while todo:
        listing = list_directory(todo.pop(), root, selection, storage)
        yield listing
        todo.extend(reversed(listing.subdirectories))


def explain(directory: str, error: OSError) -> str:
    """Return one sentence about a directory that could not be listed."""
    return f"{directory!r} cannot be read: {error.strerror or error}."


def find_checkpoints(
    path: str,
    storage: Storage = LOCAL,
    *,
    root: str = "",
    templates: tuple[str, ...] = (),
    unreadable: Callable[[str, OSError], None] = lambda _path, _error: None,
) -> tuple[tuple[Checkpoint, Generation], ...]:
    """Find what a path typed by a user names: one checkpoint, or all those below a directory.

    Files that are not checkpoints are left out below a directory, and returned when they are named
    themselves, so that the user gets a message about them. Series are relative to `root`, by
    default the given directory, or the one of the checkpoint. `unreadable` is called with each
    directory below that could not be listed; the others are searched in any case.

    Raises:
        FileNotFoundError: nothing exists at this path.
        OSError: the directory itself cannot be listed.
    """
    path = path if is_url(path) else os.path.abspath(path)
    candidate = locate(path, storage)
    if candidate is not None:
        return (_describe(candidate, root or os.path.dirname(candidate.path), templates, storage),)
    storage.stat(path)
    listings = list(walk(path, path, select(), storage))
    if listings[0].error is not None:
        raise listings[0].error
    for listing in listings:
        if listing.error is not None:
            unreadable(listing.directory, listing.error)
    described = (
        _describe(candidate, root or path, templates, storage)
        for listing in listings
        for candidate in listing.candidates
    )
    return tuple(
        (checkpoint, generation)
        for checkpoint, generation in described
        if checkpoint.format is not Format.UNKNOWN
    )


def _describe(
    candidate: Candidate, root: str, templates: tuple[str, ...], storage: Storage
) -> tuple[Checkpoint, Generation]:
    try:
        probed = probe(candidate, storage)
    except OSError:  # its verification reports why it cannot be read
        return describe(candidate.path, candidate.hint, root, templates), candidate.generation
    known = candidate.hint if probed.format is Format.UNKNOWN else probed.format
    if probed.state is ProbeState.UNKNOWN:
        known = Format.UNKNOWN
    stems = frozenset[str]()
    if known is Format.TF_CHECKPOINT:
        stems = read_stems(os.path.dirname(candidate.path), storage)
    return describe(candidate.path, known, root, templates, stems=stems), candidate.generation


def describe(
    path: str,
    format: Format,
    root: str,
    templates: tuple[str, ...] = (),
    watch: str = "",
    stems: Collection[str] = (),
) -> Checkpoint:
    """Describe a checkpoint by its path: series, version, step and metrics."""
    name = name_of(path, format, root, templates, stems)
    return Checkpoint(
        path=path,
        format=format,
        watch=watch,
        series=name.series,
        version=name.version,
        step=name.step,
        metrics=dict(name.metrics),
    )


def name_of(
    path: str,
    format: Format,
    root: str,
    templates: tuple[str, ...] = (),
    stems: Collection[str] = (),
) -> ParsedName:
    """Return what the path of a checkpoint means below a root."""
    named = path.rstrip("/")  # a prefix may be empty: then its directory names it
    return parse_name(relative_to(root, named) or os.path.basename(named), format, templates, stems)
