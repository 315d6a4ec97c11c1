"""The checksums of what is sent, in one pass: SHA-256, and the ETags that a store may give it."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_OF_ONE = re.compile(r"[0-9a-f]{32}")
_OF_PARTS = re.compile(r"[0-9a-f]{32}-\d+")
_EMPTY = hashlib.md5(b"", usedforsecurity=False).digest()


class Checksums:
    """Checksums of pieces that come one after the other.

    An ETag is the MD5 of an object that was sent as one, or the MD5 of the MD5s of its parts, and
    how many there are. Stores that encrypt with a key of their own, and others, give something
    else that may look the same.
    """

    def __init__(self) -> None:
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._parts: list[bytes] = []

    @classmethod
    def of(cls, pieces: Iterable[bytes]) -> Checksums:
        """Checksums of pieces, each of which but the last has the size of a part."""
        checksums = cls()
        for _ in checksums.through(pieces):
            pass
        return checksums

    def through(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Pass pieces on, and add them."""
        for piece in pieces:
            self.size += len(piece)
            self._sha256.update(piece)
            self._parts.append(hashlib.md5(piece, usedforsecurity=False).digest())
            yield piece

    @property
    def sha256(self) -> str:
        """The SHA-256 of all, as hexadecimal digits."""
        return self._sha256.hexdigest()

    def is_tag(self, tag: str) -> bool:
        """Whether an ETag proves that an object has this content; False: that is not known."""
        tag = tag.lower()
        if _OF_ONE.fullmatch(tag):
            return len(self._parts) <= 1 and tag == (self._parts or [_EMPTY])[0].hex()
        if _OF_PARTS.fullmatch(tag):
            joined = hashlib.md5(b"".join(self._parts), usedforsecurity=False).hexdigest()
            return tag == f"{joined}-{len(self._parts)}"
        return False
