"""Looks for copies in the bucket: what somebody deleted or wrote over there is no copy any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.core.urls import parse_url
from checkpointd.retention.replication.source import CopyingStoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from checkpointd.buckets import BucketClient
    from checkpointd.ledger import Replica


def missing_copies(
    client: BucketClient,
    destination: str,
    replicas: Iterable[Replica],
    stopped: Callable[[], bool] = lambda: False,
) -> list[str]:
    """The paths of copies of which an object is not there as it was read back.

    Args:
        client: the bucket.
        destination: the URL below which the copies are; listed once, flat.
        replicas: the copies.
        stopped: returns whether to stop; called after each page.

    Raises:
        CopyingStoppedError: nobody waits any more.
        OSError: the bucket cannot be listed.
    """
    replicas = list(replicas)
    wanted = {one.key for replica in replicas for one in replica.objects}
    there: dict[str, tuple[int, str]] = {}
    for page in client.pages(parse_url(destination).key):
        if stopped():
            raise CopyingStoppedError
        there.update((found.key, (found.size, found.tag)) for found in page if found.key in wanted)
    return [
        replica.path
        for replica in replicas
        if not replica.objects
        or any(there.get(one.key) != (one.size, one.tag) for one in replica.objects)
    ]
