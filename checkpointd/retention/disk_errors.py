"""Explains errors of the file system during pruning, in sentences."""

from __future__ import annotations

import errno
import os

from checkpointd.core.permissions import is_sticky_for


def explain(error: OSError, path: str) -> str:
    """Why a checkpoint could not be moved into the trash, and what helps."""
    directory = os.path.dirname(path)
    sentences = {
        errno.ENOENT: "it no longer exists, or its directory does not",
        errno.EACCES: f"permission denied: the daemon's user must be able to write {directory!r}",
        errno.EPERM: _not_permitted(directory),
        errno.EEXIST: "something new was created at its path; the next start resolves it",
        errno.EROFS: "its file system is read-only",
        errno.ENOSPC: "the disk is full and the trash could not be written, which takes 1 MiB: "
        "delete something there that is no valid checkpoint, such as what `checkpointd list "
        "--state writing --state invalid` prints, else this one, which would have gone; the rest "
        "follows by itself",
        errno.EDQUOT: "the quota is used up and the trash could not be written: free some space",
        errno.EXDEV: "it is not on the file system of the watch's root: make that a separate watch",
        errno.ELOOP: "a symbolic link is in its path, and none is followed",
        errno.ENOTDIR: "something in its path is not a directory, or is a symbolic link",
    }
    return sentences.get(error.errno or 0, f"the file system refused: {error.strerror}")


def _not_permitted(directory: str) -> str:
    try:
        is_sticky = is_sticky_for(os.stat(directory), os.geteuid())
    except OSError:
        is_sticky = False
    if is_sticky:
        return (
            f"not permitted: {directory!r} has the sticky bit, so that only who owns a file may "
            f"move it: `chmod -t {directory}`, or run the daemon as the job's user"
        )
    return f"not permitted: check the owner and attributes of {directory!r}"
