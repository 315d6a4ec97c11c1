"""The single moves between a checkpoint's directory and an item of the trash, and their repair."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from checkpointd.retention.files import compare_moved, exists, is_intact, rename_new
from checkpointd.retention.trees import NotUnchangedError, opened

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.retention.trash.manifest import Manifest, Stage

CONTENT = "content"
"""The directory of an item that holds what was moved."""


def mark(item_fd: int, before: Stage, after: Stage) -> None:
    """Set the stage of an item; it is on disk when this returns."""
    os.rename(before, after, src_dir_fd=item_fd, dst_dir_fd=item_fd)
    os.fsync(item_fd)


def move_in(item_fd: int, parent_fd: int, manifest: Manifest, step: Callable[[str], None]) -> None:
    """Move every part into the trash, and check them there once more.

    Raises:
        NotUnchangedError: something else was moved; it is still in the trash.
        OSError: a part cannot be moved; the ones before are in the trash.
    """
    with opened(CONTENT, item_fd) as content_fd:
        for part in manifest.parts:
            step("move")
            gone = (FileNotFoundError,) if part.companion else ()
            with contextlib.suppress(*gone):
                rename_new(part.name, parent_fd, content_fd)
        step("compare")
        compare_moved(content_fd, _name(manifest), list(manifest.parts), manifest.generation)
        os.fsync(content_fd)
    os.fsync(parent_fd)


def is_whole(item_fd: int, manifest: Manifest) -> bool:
    """Whether an item still holds what was moved into it: the job's user may have changed it."""
    try:
        with opened(CONTENT, item_fd) as content_fd:
            return all(
                is_intact(content_fd, part, _name(manifest), manifest.generation)
                for part in manifest.parts
                if not part.companion
            )
    except (FileNotFoundError, NotADirectoryError):
        return False


def move_back(
    item_fd: int, parent_fd: int, manifest: Manifest, step: Callable[[str], None]
) -> None:
    """Move what is in the trash back, in reverse order: what makes it complete comes last.

    Raises:
        FileExistsError: a name exists.
        OSError: a part cannot be moved.
    """
    with opened(CONTENT, item_fd) as content_fd:
        for part in reversed(manifest.parts):
            if exists(part.name, content_fd):
                step("move back")
                rename_new(part.name, content_fd, parent_fd)
        os.fsync(content_fd)
    os.fsync(parent_fd)


def move_in_again(item_fd: int, parent_fd: int, manifest: Manifest) -> None:
    """Move into the trash the parts that are outside and still are what was verified."""
    with opened(CONTENT, item_fd) as content_fd:
        for part in manifest.parts:
            if is_intact(parent_fd, part, _name(manifest), manifest.generation):
                with contextlib.suppress(FileNotFoundError, FileExistsError):
                    rename_new(part.name, parent_fd, content_fd)
        os.fsync(content_fd)
    os.fsync(parent_fd)


def finish(item_fd: int, parent_fd: int, manifest: Manifest, step: Callable[[str], None]) -> bool:
    """Finish or undo a move into the trash that a crash interrupted.

    It is finished if all that was to be moved still is what was verified, else undone. What
    cannot be undone, because something new is there, stays in the trash.

    Returns:
        Whether everything is back at its path.
    """
    with opened(CONTENT, item_fd) as content_fd:
        inside = {part.name for part in manifest.parts if exists(part.name, content_fd)}
    if not inside:
        return True
    step("finish")
    outside = [part for part in manifest.parts if part.name not in inside and not part.companion]
    if all(is_intact(parent_fd, p, _name(manifest), manifest.generation) for p in outside):
        move_in_again(item_fd, parent_fd, manifest)
    with opened(CONTENT, item_fd) as content_fd:
        try:
            compare_moved(content_fd, _name(manifest), list(manifest.parts), manifest.generation)
        except (NotUnchangedError, FileNotFoundError):
            is_taken = any(exists(name, parent_fd) for name in inside)
            return not is_taken and finish_restoring(item_fd, parent_fd, manifest, step)
    return False


def finish_restoring(
    item_fd: int, parent_fd: int, manifest: Manifest, step: Callable[[str], None]
) -> bool:
    """Finish a restore that a crash interrupted; back into the trash if a name exists.

    Returns:
        Whether everything is back at its path.
    """
    try:
        move_back(item_fd, parent_fd, manifest, step)
    except FileExistsError:
        move_in_again(item_fd, parent_fd, manifest)
        return False
    return True


def _name(manifest: Manifest) -> str:
    return manifest.path.rpartition("/")[2]
