"""Copies one generation from a bucket to the local disk, so that it is verified as a local one.

Each object is read as it was listed or not at all; what was written over is not mixed with what
follows. Where an ETag is the MD5 of the content, the copy is compared with it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
from typing import TYPE_CHECKING

from checkpointd.buckets.client import ObjectChangedError, StoredObject
from checkpointd.core.format_specs import GOLDEN_SUFFIX
from checkpointd.core.urls import parse_url
from checkpointd.formats import generation_of, member_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from checkpointd.buckets.client import BucketClient
    from checkpointd.core.checkpoint import Checkpoint, Generation

_MD5 = re.compile(r'"?(?P<md5>[0-9a-f]{32})"?')
_CHANGED = "It was written over while it was copied from the bucket"


class StagingStoppedError(Exception):
    """The copy was stopped."""


def stage(
    client: BucketClient,
    checkpoint: Checkpoint,
    generation: Generation,
    directory: str,
    stopped: Callable[[], bool] = lambda: False,
) -> tuple[str, Generation]:
    """Copy a generation and its golden record into a directory.

    Args:
        client: the bucket.
        checkpoint: what is copied; its path is a URL.
        generation: its members as they were listed.
        directory: an empty one on the local disk.
        stopped: returns whether to stop; called after each piece.

    Returns:
        The path of the copy, and its generation on the local disk.

    Raises:
        ObjectChangedError: an object is not the one that was listed any more.
        StagingStoppedError: nobody waits any more.
        OSError: the bucket cannot be read, or the disk cannot be written.
    """
    url = checkpoint.path
    target = os.path.join(directory, os.path.basename(url))
    members = [
        (
            StoredObject(_key(member_path(url, m.name)), m.size, m.mtime_ns, m.tag),
            member_path(target, m.name),
        )
        for m in generation.members
    ]
    for found, path in members:
        _copy(client, found, path, stopped)
    _copy_record(client, url, target, stopped)
    if len(members) > 1:
        for found, _ in members:
            _check_unchanged(client, found)
    made = generation_of(target, checkpoint.format)
    names = [(m.name, m.size) for m in generation.members]
    if [(m.name, m.size) for m in made.members] != names:
        raise ObjectChangedError(errno.ENOENT, _CHANGED, url)
    return target, made


def _key(url: str) -> str:
    return parse_url(url).key


def _check_unchanged(client: BucketClient, stored: StoredObject) -> None:
    """The objects of one checkpoint belong together if none of them changed meanwhile."""
    try:
        now = client.head(stored.key)
    except FileNotFoundError:
        raise ObjectChangedError(errno.ENOENT, _CHANGED, stored.key) from None
    if (now.size, now.tag) != (stored.size, stored.tag):
        raise ObjectChangedError(errno.ENOENT, _CHANGED, stored.key)


def _copy_record(client: BucketClient, url: str, target: str, stopped: Callable[[], bool]) -> None:
    """Copy the golden record that is beside a file or prefix, if there is one."""
    try:
        record = client.head(_key(url) + GOLDEN_SUFFIX)
        _copy(client, record, target + GOLDEN_SUFFIX, stopped)
    except FileNotFoundError:
        return


def _copy(
    client: BucketClient, stored: StoredObject, path: str, stopped: Callable[[], bool]
) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    digest = _download(client, stored, path, stopped)
    expected = _MD5.fullmatch(stored.tag)
    is_other = expected is not None and expected["md5"] != digest
    # Some stores' ETags look like an MD5 and are none: then the same bytes come again.
    if is_other and _download(client, stored, path, stopped) != digest:
        message = "Two downloads of it differ, and the first differs from the store's checksum"
        raise OSError(errno.EIO, message, stored.key)
    os.utime(path, ns=(stored.mtime_ns, stored.mtime_ns))


def _download(
    client: BucketClient, stored: StoredObject, path: str, stopped: Callable[[], bool]
) -> str:
    """Write the content of an object to a file; return its MD5."""
    digest = hashlib.md5(usedforsecurity=False)
    written = 0
    with open(path, "wb") as file:
        for piece in client.stream(stored):
            if stopped():
                raise StagingStoppedError
            digest.update(piece)
            written += file.write(piece)
    if written != stored.size:
        raise OSError(errno.EIO, f"Only {written} of {stored.size} bytes came", stored.key)
    return digest.hexdigest()
