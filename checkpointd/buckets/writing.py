"""Writes objects, never over one that is not named: every error is an `OSError` with a sentence.

Small ones are written under a condition, if the store knows any. A large one is sent in parts, for
which obstore has no condition: the key is looked at right before the parts become an object.
"""

from __future__ import annotations

import errno
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from checkpointd.buckets.client import BucketClient, StoredObject, stored_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from checkpointd.core.urls import BucketUrl

PART = 8 << 20
"""The size of a part, and the largest object that is sent as one."""

_MOST_PARTS = 9000
_AT_A_TIME = 2
_NO_CONDITIONS = re.compile(r"status code: 501|<Code>NotImplemented</Code>")
_READ_SECONDS = "300s"
"""It runs while a part is sent: this is a part on a line of 0.2 Mbit/s."""


@dataclass(frozen=True)
class MarkedObject(StoredObject):
    """An object with its version, and the metadata that its writer gave it."""

    version: str = ""
    marks: Mapping[str, str] = field(default_factory=dict)

    @property
    def listed(self) -> StoredObject:
        """The object as a listing shows it."""
        return StoredObject(self.key, self.size, self.mtime_ns, self.tag)


class ObjectInTheWayError(FileExistsError):
    """Another object is at a key than the one that may be written over."""


def part_size(size: int) -> int:
    """The size of the parts of a large object: no store takes more than 10 000."""
    return max(PART, -(-size // _MOST_PARTS))


class BucketWriter(BucketClient):
    """One bucket that is written to; safe to use from any thread.

    Args:
        url: names it.

    Raises:
        OSError: obstore is not installed, or what the environment says cannot be used.
    """

    def __init__(self, url: BucketUrl) -> None:
        super().__init__(url, read_timeout=_READ_SECONDS)

    def find(self, key: str) -> MarkedObject | None:
        """Look at one object with its marks; None if there is none.

        Raises:
            OSError: it cannot be looked at.
        """
        import obstore

        options: Any = {"head": True}
        try:
            response = obstore.get(self._store, key, options=options)
            meta, marks = response.meta, {str(k).lower(): v for k, v in response.attributes.items()}
        except Exception as error:  # noqa: BLE001 - obstore's errors have no common base
            known = self._error(error, key)
            if isinstance(known, FileNotFoundError) and not self._is_missing_bucket(known):
                return None
            raise known from None
        one = stored_object(meta)
        version = meta.get("version") or ""
        return MarkedObject(one.key, one.size, one.mtime_ns, one.tag, version, marks)

    def put(
        self, key: str, data: bytes, marks: Mapping[str, str], over: MarkedObject | None
    ) -> None:
        """Write a small object.

        Args:
            key: where to.
            data: its content.
            marks: what is noted about it.
            over: what may be written over; None: nothing may be there.

        Raises:
            ObjectInTheWayError: something else is there.
            OSError: it cannot be written.
        """
        import obstore

        mode: Any = "create"
        if over is not None:
            mode = {"e_tag": f'"{over.tag}"'} | ({"version": over.version} if over.version else {})
        attributes: Any = dict(marks)
        try:
            obstore.put(
                self._store, key, data, attributes=attributes, mode=mode, use_multipart=False
            )
        except Exception as error:  # noqa: BLE001 - the same
            if type(error).__name__ in ("AlreadyExistsError", "PreconditionError"):
                raise self._in_the_way(key) from None
            if _NO_CONDITIONS.search(str(error)) is None:
                raise self._error(error, key) from None
        else:
            return
        self._put_unconditionally(key, data, attributes, over)

    def _put_unconditionally(
        self, key: str, data: bytes, attributes: Any, over: MarkedObject | None
    ) -> None:
        """Write to a store that refuses conditions: the key is looked at right before."""
        import obstore

        if _identity(self.find(key)) != _identity(over):
            raise self._in_the_way(key)
        try:
            obstore.put(self._store, key, data, attributes=attributes, use_multipart=False)
        except Exception as error:  # noqa: BLE001 - the same
            raise self._error(error, key) from None

    def put_parts(
        self,
        key: str,
        pieces: Iterable[bytes],
        size: int,
        marks: Mapping[str, str],
        over: MarkedObject | None,
    ) -> None:
        """Write a large object in parts; if the pieces raise, no object comes of them.

        Args:
            key: where to.
            pieces: its content.
            size: of one part.
            marks: what is noted about it.
            over: what may be written over; None: nothing may be there.

        Raises:
            ObjectInTheWayError: something else is there.
            OSError: it cannot be written.
        """
        import obstore

        attributes: Any = dict(marks)
        try:
            writer = obstore.open_writer(
                self._store,
                key,
                attributes=attributes,
                buffer_size=size,
                max_concurrency=_AT_A_TIME,
            )
        except Exception as error:  # noqa: BLE001 - the same
            raise self._error(error, key) from None
        for piece in pieces:
            try:
                writer.write(piece)
            except Exception as error:  # noqa: BLE001 - the same
                raise self._error(error, key) from None
        if _identity(self.find(key)) != _identity(over):
            raise self._in_the_way(key)
        try:
            writer.close()
        except Exception as error:  # noqa: BLE001 - the same
            raise self._error(error, key) from None

    def _in_the_way(self, key: str) -> ObjectInTheWayError:
        return ObjectInTheWayError(errno.EEXIST, "Another object is there", f"{self._root}/{key}")

    def _is_missing_bucket(self, error: OSError) -> bool:
        return "bucket" in str(error.strerror)


def _identity(existing: MarkedObject | None) -> tuple[int, str] | None:
    return None if existing is None else (existing.size, existing.tag)
