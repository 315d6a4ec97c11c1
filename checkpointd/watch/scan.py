"""What lies below a root now: an iterative walk that decides, whatever events said.

A listing that fails is an error in the survey and never means that its checkpoints are gone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.formats import Candidate, ProbeState, locate, probe, recognise, state_file
from checkpointd.formats.storage import LOCAL, Storage
from checkpointd.watch.globs import Selection, is_reserved, select
from checkpointd.watch.series import place

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from checkpointd.core.checkpoint import Generation

_STATE_FILE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Listing:
    """One directory: the wanted checkpoints in it and the directories to walk on in.

    `recorded` and `managed` are as in `formats.Recognised`.
    """

    directory: str
    found: tuple[Candidate, ...]
    descend: tuple[str, ...]
    error: OSError | None = None
    recorded: frozenset[str] = frozenset()
    managed: bool = False


@dataclass(frozen=True)
class Survey:
    """A whole walk: what was found, how many directories were listed, which could not be."""

    found: tuple[Candidate, ...]
    directories: int
    errors: tuple[str, ...]


def below(root: str, path: str) -> str:
    """The path of something below the root, relative to it; empty for the root itself."""
    if path == root:
        return ""
    prefix = root if root.endswith("/") else root + "/"
    return path.removeprefix(prefix)


def look(directory: str, root: str, selection: Selection, storage: Storage = LOCAL) -> Listing:
    """List one directory; an error is returned with the listing, not raised."""
    try:
        recognised = recognise(directory, storage)
    except OSError as error:
        return Listing(directory, (), (), error)
    found = tuple(f for f in recognised.found if selection.takes(below(root, f.path)))
    descend = tuple(
        d
        for d in recognised.descend
        if not is_reserved(os.path.basename(d)) and selection.enters(below(root, d))
    )
    return Listing(
        directory, found, descend, recorded=recognised.recorded, managed=recognised.managed
    )


def stems_in(directory: str, storage: Storage = LOCAL) -> frozenset[str]:
    """What the `checkpoint` state file of a directory says that versions begin with.

    Empty where it cannot be read; of a very long list the beginning counts.
    """
    path = os.path.join(directory, state_file.NAME)
    try:
        return state_file.stems(storage.pread(path, 0, _STATE_FILE_BYTES))
    except OSError:
        return frozenset()


def walk(top: str, root: str, selection: Selection, storage: Storage = LOCAL) -> Iterator[Listing]:
    """List a directory and all below it, one at a time, holding no more than their names."""
    todo = [top]
    while todo:
        listing = look(todo.pop(), root, selection, storage)
        yield listing
        todo.extend(reversed(listing.descend))


def survey(
    root: str,
    include: tuple[str, ...] = ("**",),
    exclude: tuple[str, ...] = (),
    storage: Storage = LOCAL,
) -> Survey:
    """Find every checkpoint below a root, whether it is finished or not."""
    found: list[Candidate] = []
    errors: list[str] = []
    directories = 0
    for listing in walk(root, root, select(include, exclude), storage):
        directories += 1
        found.extend(listing.found)
        if listing.error is not None:
            errors.append(explain(listing.directory, listing.error))
    return Survey(tuple(found), directories, tuple(errors))


def explain(directory: str, error: OSError) -> str:
    """One sentence for a directory that could not be listed."""
    return f"{directory!r} cannot be read: {error.strerror or error}."


def survey_path(
    path: str,
    storage: Storage = LOCAL,
    *,
    root: str = "",
    template: str | None = None,
    unreadable: Callable[[str, OSError], None] = lambda _path, _error: None,
) -> tuple[tuple[Checkpoint, Generation], ...]:
    """Find what a path typed by a user names: one checkpoint, or all those below a directory.

    Files that are no checkpoint are left out of a directory's, and kept when named themselves,
    so that the user is told. Series are placed below `root`, by default the directory given or
    the one that the checkpoint lies in. `unreadable` is told each directory below that could not
    be listed; the others are looked through all the same.

    Raises:
        FileNotFoundError: there is nothing there.
        OSError: the directory itself cannot be listed.
    """
    path = os.path.abspath(path)
    one = locate(path, storage)
    if one is not None:
        return (_describe(one, root or os.path.dirname(one.path), template, storage),)
    storage.stat(path)
    listings = list(walk(path, path, select(), storage))
    if listings[0].error is not None:
        raise listings[0].error
    for listing in listings:
        if listing.error is not None:
            unreadable(listing.directory, listing.error)
    described = (
        _describe(found, root or path, template, storage)
        for listing in listings
        for found in listing.found
    )
    return tuple(item for item in described if item[0].format is not Format.UNKNOWN)


def _describe(
    found: Candidate, root: str, template: str | None, storage: Storage
) -> tuple[Checkpoint, Generation]:
    try:
        probed = probe(found, storage)
    except OSError:  # a child will say why it cannot be read
        return describe(found.path, found.hint, root, template), found.generation
    known = found.hint if probed.format is Format.UNKNOWN else probed.format
    if probed.state is ProbeState.UNKNOWN:
        known = Format.UNKNOWN
    stems = frozenset[str]()
    if known is Format.TF_CHECKPOINT:
        stems = stems_in(os.path.dirname(found.path), storage)
    return describe(found.path, known, root, template, stems=stems), found.generation


def describe(
    path: str,
    format: Format,  # noqa: A002 - the field's own name
    root: str,
    template: str | None = None,
    watch: str = "",
    stems: Collection[str] = (),
) -> Checkpoint:
    """Name a checkpoint and place it among the others below its root."""
    path_or_directory = path.rstrip("/")  # a prefix may be empty: then its directory names it
    relative = below(root, path_or_directory) or os.path.basename(path_or_directory)
    placed = place(relative, format, template, stems)
    return Checkpoint(
        path=path,
        format=format,
        watch=watch,
        series=placed.series,
        version=placed.version,
        step=placed.step,
        metrics=dict(placed.metrics),
    )
