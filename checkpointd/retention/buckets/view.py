"""The listing of a watch's root in a bucket, which verified checkpoints are compared with."""

from __future__ import annotations

import errno
import threading
import time
from typing import TYPE_CHECKING

from checkpointd.buckets import BucketStorage, ObjectChangedError
from checkpointd.core.format_specs import GOLDEN_SUFFIX
from checkpointd.formats import generation_of, member_path
from checkpointd.formats.members import member_of
from checkpointd.formats.names import OWN_DIRECTORIES
from checkpointd.retention.buckets.order import deletion_order
from checkpointd.retention.files import is_directory
from checkpointd.retention.trees import foreign_names

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.buckets.client import BucketClient, StoredObject
    from checkpointd.ledger import Entry

_CHANGED = "It is not in the bucket as it was verified"


class BucketView:
    """One flat listing of a root, renewed as asked; thread-safe.

    Args:
        root: the URL of the root.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self._storage: BucketStorage | None = None
        self._lock = threading.RLock()
        self._listed_at = -float("inf")

    @property
    def client(self) -> BucketClient:
        """The bucket.

        Raises:
            OSError: it cannot be used.
        """
        return self._opened().client

    def _opened(self) -> BucketStorage:
        with self._lock:
            if self._storage is None:
                self._storage = BucketStorage(self.root)
            return self._storage

    def refresh(self, seconds: float = 0.0) -> None:
        """List the root again if the listing is older than `seconds`.

        Raises:
            OSError: it cannot be listed.
        """
        with self._lock:
            if time.monotonic() - self._listed_at < seconds:
                return
            began = time.monotonic()
            self._opened().refresh(self.root)
            self._listed_at = began

    @property
    def is_empty(self) -> bool:
        """Whether the listing found nothing."""
        with self._lock:
            return self._opened().is_empty

    def is_unchanged(self, entry: Entry) -> bool:
        """Whether a checkpoint is listed as it was verified, and nothing was added to it."""
        generation, fmt = entry.generation, entry.checkpoint.format
        with self._lock:
            storage = self._opened()
            try:
                if is_directory(entry.checkpoint, generation):
                    return generation_of(entry.path, fmt, storage).key == generation.key
                return all(
                    member_of(m.name, storage.stat(member_path(entry.path, m.name))) == m
                    for m in generation.members
                )
            except OSError:
                return False

    def is_shared(self, entry: Entry) -> bool:
        """Whether a checkpoint is a directory that also holds something else."""
        if not is_directory(entry.checkpoint, entry.generation):
            return False
        with self._lock:
            try:
                listed = self._opened().scandir(entry.path)
            except OSError:
                return False
        names = ((one.name, one.is_dir) for one in listed)
        return next(foreign_names(names, entry.generation), None) is not None

    def objects_of(self, entry: Entry) -> list[StoredObject]:
        """The objects of a checkpoint in the order of deletes, its golden record last.

        Raises:
            ObjectChangedError: they are not listed as they were verified.
        """
        if not self.is_unchanged(entry):
            raise ObjectChangedError(errno.ENOENT, _CHANGED, entry.path)
        paths = [
            member_path(entry.path, member.name)
            for member in deletion_order(entry.generation.members)
        ]
        if not is_directory(entry.checkpoint, entry.generation):
            paths.append(entry.path + GOLDEN_SUFFIX)
        objects = []
        with self._lock:
            for path in paths:
                try:
                    objects.append(self._opened().object_at(path))
                except OSError:
                    if not path.endswith(GOLDEN_SUFFIX):
                        raise ObjectChangedError(errno.ENOENT, _CHANGED, path) from None
        return objects

    def directories(self) -> Iterator[tuple[str, dict[str, StoredObject]]]:
        """Every directory below the root with the objects in it by name."""
        with self._lock:
            storage, left = self._opened(), [self.root]
            while left:
                path = left.pop()
                objects: dict[str, StoredObject] = {}
                for entry in storage.scandir(path):
                    if entry.is_dir:
                        if path != self.root or entry.name not in OWN_DIRECTORIES:
                            left.append(f"{path}/{entry.name}")
                    else:
                        objects[entry.name] = storage.object_at(f"{path}/{entry.name}")
                yield path, objects
