"""What an attestation is about: the SHA-256 of every file, read again after the verdict.

The same pass takes the digest that the scan took, so that the two are about the same bytes.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from checkpointd.core.request import End
from checkpointd.formats import generation_of, member_path
from checkpointd.tensors import MemberDigest, combine
from checkpointd.tensors.checksums import Checksum
from checkpointd.tensors.source import opened
from checkpointd.tensors.stream import ByteRange, stream

if TYPE_CHECKING:
    from checkpointd.core.request import Request
    from checkpointd.tensors.checksums import Block


class _SHA256:
    """The SHA-256 of the bytes fed."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def feed(self, block: Block) -> None:
        """Take the next bytes."""
        self._digest.update(block.data)

    @property
    def text(self) -> str:
        """The digest in hex."""
        return self._digest.hexdigest()


def digest(request: Request) -> dict[str, Any]:
    """Read every member of one generation once.

    Returns:
        `end` (DONE or SUPERSEDED), and where it is DONE `digest`, which is `Facts.digest` for the
        same bytes, and `files`, each with `name` (as in `checkpoint.Member`), `size` and `sha256`.

    Raises:
        OSError: it could not be read.
    """
    path, generation = request.checkpoint.path, request.generation
    files, members = [], []
    try:
        for member in generation.members:
            checksum, sha256 = Checksum(), _SHA256()
            with opened(member_path(path, member.name)) as source:
                whole = [[ByteRange(0, source.size, sink)] for sink in (checksum, sha256)]
                stream(source, whole)
            members.append(MemberDigest(member.name, checksum.size, checksum.crc32c))
            files.append({"name": member.name, "size": checksum.size, "sha256": sha256.text})
        now = generation_of(path, request.checkpoint.format)
    except FileNotFoundError:
        return {"end": str(End.SUPERSEDED)}
    if now.identity != generation.identity:
        return {"end": str(End.SUPERSEDED)}
    return {"end": str(End.DONE), "digest": combine(members), "files": files}
