"""Reads the files of a checkpoint for its attestation, also of one in a bucket.

What is in a bucket is read while its copy for the verification is there. Where that was missed, as
after a restart or with a new key, it is copied again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.buckets import ObjectChangedError
from checkpointd.core.request import End, Request
from checkpointd.core.urls import is_url
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.daemon.staging import StagingError

if TYPE_CHECKING:
    from checkpointd.daemon.staging import StagingDispatcher
    from checkpointd.dispatch.local import LocalDispatcher
    from checkpointd.ledger import Entry

_MOST_KEPT = 1000
"""How many copies' digests are kept until their verdicts; a copy beyond that is made again."""


class AttestationReader:
    """Computes the digests for statements, in sandboxed children.

    Args:
        dispatcher: reads what is on this host.
        staging: copies what is in a bucket.
    """

    def __init__(self, dispatcher: LocalDispatcher, staging: StagingDispatcher) -> None:
        self._dispatcher = dispatcher
        self._staging = staging
        self._of_copies: dict[str, tuple[str, dict[str, Any]]] = {}

    async def digest(self, entry: Entry) -> dict[str, Any]:
        """Compute the digests of an entry's files; see `LocalDispatcher.digest`."""
        checkpoint, generation = entry.checkpoint, entry.generation
        request = Request(checkpoint, generation, VerifySettings())
        if not is_url(checkpoint.path):
            return await self._dispatcher.digest(request)
        key, digests = self._of_copies.pop(checkpoint.path, ("", {}))
        if key == generation.key:
            return digests
        try:
            async with self._staging.copied(request) as copy:
                return await self._dispatcher.digest(copy)
        except ObjectChangedError:
            return {"end": str(End.SUPERSEDED)}
        except StagingError as error:
            return {"error": str(error)}

    async def read_copy(self, request: Request, copy: Request) -> None:
        """Read the copy of what has just been verified, and keep its digests for `digest`.

        Args:
            request: for what is in the bucket.
            copy: for what is on this host.
        """
        digests = await self._dispatcher.digest(copy)
        if digests.get("end") == str(End.DONE):
            self._of_copies[request.checkpoint.path] = (request.generation.key, digests)
        while len(self._of_copies) > _MOST_KEPT:
            del self._of_copies[next(iter(self._of_copies))]

    async def close(self) -> None:
        """End the processes that read."""
        await self._dispatcher.close()
