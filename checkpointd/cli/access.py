"""Whether a typed path exists and may be read, and what to do where a permission is missing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from checkpointd.cli.errors import UNREACHABLE, USAGE, CliError, DeniedError
from checkpointd.cli.workspace import absolute
from checkpointd.core.permissions import cure_of_denial
from checkpointd.core.urls import is_url

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.formats import Storage
    from checkpointd.ledger import Entry


def denied(error: PermissionError, path: str) -> DeniedError:
    """The error about a path that this user may not look at."""
    named = os.fsdecode(error.filename or path)
    if is_url(named):
        return DeniedError(f"{named}: {error.strerror}.", "")
    named = os.path.abspath(named)
    return DeniedError(f"{named}: {error.strerror}.", cure_of_denial(named))


def must_exist(path: str) -> None:
    """Refuse a path that is not there and is no prefix of anything that is.

    Raises:
        DeniedError: this user may not look.
        CliError: with exit code 2.
    """
    from checkpointd.buckets import storage_of
    from checkpointd.formats import locate

    try:
        where = absolute(path)
        storage = storage_of(where)
        if locate(where, storage) is not None or _exists(where, storage):
            return
    except PermissionError as error:
        raise denied(error, path) from None
    except OSError as error:
        if is_url(path) and not isinstance(error, FileNotFoundError):
            raise CliError(f"{path}: {error.strerror or error}.", UNREACHABLE) from None
        if os.path.lexists(path):
            return
    raise CliError(f"{absolute(path)}: there is no such path.", USAGE)


def _exists(path: str, storage: Storage) -> bool:
    """Whether anything is at a path, also a link that leads nowhere."""
    if not is_url(path):
        return os.path.lexists(path)
    storage.stat(path)
    return True


def refuse_unseen(newest_first: Iterable[Entry]) -> None:
    """Refuse to name the newest where this user may not look at what may be newer.

    Args:
        newest_first: the checkpoints among which the newest that is still there is looked for.

    Raises:
        DeniedError: this user may not look at one of them, and none that is newer is there.
    """
    from checkpointd.buckets import storage_of
    from checkpointd.formats import generation_of

    for entry in newest_first:
        try:
            place = storage_of(entry.checkpoint.path)
            on_disk = generation_of(entry.checkpoint.path, entry.checkpoint.format, place)
        except PermissionError as error:
            raise denied(error, entry.checkpoint.path) from None
        except OSError:
            continue
        if on_disk.key == entry.generation.key:
            return


def why_not_current(entry: Entry) -> str:
    """Why a verdict may not be about what is on disk now; empty if it is."""
    from checkpointd.buckets import storage_of
    from checkpointd.formats import generation_of

    try:
        place = storage_of(entry.checkpoint.path)
        on_disk = generation_of(entry.checkpoint.path, entry.checkpoint.format, place)
        is_current = on_disk.key == entry.generation.key
    except PermissionError as error:
        return f"what is on disk could not be checked: {denied(error, entry.checkpoint.path)}"
    except OSError:
        is_current = False
    return "" if is_current else "the content on disk is not the one that was verified"
