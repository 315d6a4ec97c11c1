"""One bucket, by obstore: lists, looks and reads; every error is an `OSError` with a sentence.

Credentials and endpoints are found as obstore finds them: in the environment (`AWS_…`, `GOOGLE_…`)
and from the machine's role. Only this module and `writing` import it.
"""

from __future__ import annotations

import errno
import os
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from checkpointd.config.buckets import missing_extra

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from checkpointd.core.urls import BucketUrl

PAGE = 1000
"""The number of keys in a page of a listing, of every store that is known."""

_CHUNK = 4 << 20
_CONNECT, _READ, _RETRIES, _RETRY_SECONDS = "5s", "20s", 2, 10
_LONGEST = "24h"
_BLAME = re.compile(
    r"(?s)<Code>(?P<code>[^<]+)</Code>(?:\s*<Message>(?P<message>[^<]*)</Message>)?"
)
_REFUSALS = ("AccessDenied", "ExpiredToken", "InvalidAccessKeyId", "SignatureDoesNotMatch")
_ODD_KEY = re.compile(r'invalid path: (?:Error parsing )?Path "(?P<key>[^"]*)"')
_STATUS = re.compile(r"status code: (?P<status>\d{3} [A-Za-z ]+)")
_HTTP_ERRORS = re.compile(r"HTTP error: ([^,\n]+)")


class ObjectChangedError(FileNotFoundError):
    """An object is not the one that was listed any more: it was written over or deleted."""


@dataclass(frozen=True)
class StoredObject:
    """One object: its key, size in bytes, when it was written, and a tag of its content."""

    key: str
    size: int
    mtime_ns: int
    tag: str

    def is_same(self, other: StoredObject) -> bool:
        """Whether another answer is about it: `Last-Modified` has whole seconds, a listing more."""
        seconds = self.mtime_ns // 10**9, other.mtime_ns // 10**9
        same_content = (self.key, self.size, self.tag) == (other.key, other.size, other.tag)
        return same_content and seconds[0] == seconds[1]


class BucketClient:
    """One bucket; safe to use from any thread.

    Args:
        url: names it.
        read_timeout: how long the store may keep silent.

    Raises:
        OSError: obstore is not installed, or what the environment says cannot be used.
    """

    def __init__(self, url: BucketUrl, *, read_timeout: str = _READ) -> None:
        if missing := missing_extra():
            raise OSError(errno.ENOSYS, missing, url.root)
        self._root = url.root
        try:
            self._store = _open(url, os.environ, read_timeout)
        except Exception as error:  # noqa: BLE001 - obstore's errors have no common base
            raise self._error(error, "") from None

    def pages(self, prefix: str) -> Iterator[list[StoredObject]]:
        """List every object below a prefix, page by page, in one flat listing.

        Raises:
            OSError: it cannot be listed.
        """
        import obstore

        try:
            for page in obstore.list(self._store, prefix or None, chunk_size=PAGE):
                yield [stored_object(meta) for meta in page]
        except GeneratorExit:
            raise
        except Exception as error:  # noqa: BLE001 - the same
            raise self._error(error, prefix) from None

    def list_directory(self, prefix: str) -> tuple[list[str], list[StoredObject]]:
        """List what is directly below a prefix: the prefixes below it, and the objects.

        Raises:
            OSError: it cannot be listed.
        """
        import obstore

        try:
            listing = obstore.list_with_delimiter(self._store, prefix or None)
        except Exception as error:  # noqa: BLE001 - the same
            raise self._error(error, prefix) from None
        return list(listing["common_prefixes"]), [
            stored_object(meta) for meta in listing["objects"]
        ]

    def head(self, key: str) -> StoredObject:
        """Look at one object.

        Raises:
            FileNotFoundError: it is not there.
            OSError: it cannot be looked at.
        """
        import obstore

        try:
            return stored_object(obstore.head(self._store, key))
        except Exception as error:  # noqa: BLE001 - the same
            raise self._error(error, key) from None

    def read(self, stored: StoredObject, offset: int, size: int) -> bytes:
        """Read a piece of an object, if it still is the one that was found.

        Raises:
            ObjectChangedError: it is not.
            OSError: it cannot be read.
        """
        import obstore

        end = min(offset + size, stored.size)
        if offset >= end:
            return b""
        options: Any = _pinned(stored)
        if (offset, end) != (0, stored.size):  # some stores send a whole object as if not asked so
            options["range"] = (offset, end)
        try:
            return bytes(obstore.get(self._store, stored.key, options=options).bytes())
        except Exception as error:  # noqa: BLE001 - the same
            raise self._error(error, stored.key) from None

    def stream(self, stored: StoredObject) -> Iterator[Any]:
        """Read a whole object in pieces, if it still is the one that was found.

        Raises:
            ObjectChangedError: it is not.
            OSError: it cannot be read.
        """
        import obstore

        options: Any = _pinned(stored)
        try:
            got = obstore.get(self._store, stored.key, options=options)
            meta = stored_object(got.meta)
            if (meta.size, meta.tag) == (stored.size, stored.tag):
                yield from got.stream(min_chunk_size=_CHUNK)
                return
        except GeneratorExit:
            raise
        except Exception as error:  # noqa: BLE001 - the same
            raise self._error(error, stored.key) from None
        raise ObjectChangedError(errno.ENOENT, "It was written over", stored.key)

    def _error(self, error: Exception, key: str) -> OSError:
        """Return an error of obstore's as one that says what to do."""
        name = f"{self._root}/{key}" if key else self._root
        kind = type(error).__name__
        if (odd := _ODD_KEY.search(str(error))) is not None:
            why = (
                f"It holds an object whose key {odd['key']!r} cannot be a path, and no listing can "
                "leave it out: rename that object, or name a URL that does not contain it"
            )
            return OSError(errno.EINVAL, why, name)
        detail, code = _detail(str(error)), _BLAME.search(str(error))
        if kind in ("PreconditionError", "NotModifiedError", "AlreadyExistsError"):
            return ObjectChangedError(errno.ENOENT, "It was written over", name)
        if code is not None and code["code"] == "NoSuchBucket":
            return FileNotFoundError(errno.ENOENT, "There is no such bucket", name)
        if kind in ("NotFoundError", "FileNotFoundError"):
            return FileNotFoundError(errno.ENOENT, "There is no such object", name)
        refused = code is not None and code["code"] in _REFUSALS
        if refused or kind in ("PermissionDeniedError", "UnauthenticatedError"):
            why = (
                f"The store refuses access ({detail}): check the credentials and their permissions"
            )
            return PermissionError(errno.EACCES, why, name)
        return OSError(errno.EIO, f"The store does not answer as it should ({detail})", name)


def _open(url: BucketUrl, environment: Mapping[str, str], read_timeout: str) -> Any:
    from obstore.store import GCSStore, S3Store

    endpoints = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT", "STORAGE_EMULATOR_HOST")
    plain = any(environment.get(name, "").startswith("http://") for name in endpoints)
    client: Any = {"connect_timeout": _CONNECT, "read_timeout": read_timeout, "timeout": _LONGEST}
    if plain:
        client["allow_http"] = True
    retry: Any = {"max_retries": _RETRIES, "retry_timeout": timedelta(seconds=_RETRY_SECONDS)}
    if url.scheme == "s3":
        return S3Store(url.bucket, client_options=client, retry_config=retry)
    emulator = environment.get("STORAGE_EMULATOR_HOST", "")
    more: Any = {}
    if emulator:
        base = emulator if "://" in emulator else f"http://{emulator}"
        client["allow_http"] = base.startswith("http://")
        more = {"base_url": base, "skip_signature": True, "credential_provider": _no_credential}
    return GCSStore(url.bucket, client_options=client, retry_config=retry, **more)


def _no_credential() -> dict[str, Any]:
    """What is sent to an emulator, which takes any: else writes ask the machine's role for one."""
    return {"token": "emulator", "expires_at": None}


def stored_object(meta: Any) -> StoredObject:
    """What obstore says about an object, as far as it is needed."""
    tag = (meta["e_tag"] or "").strip('"')  # some stores list it without the quotes of a header
    at = meta["last_modified"]
    nanoseconds = int(at.timestamp()) * 10**9 + at.microsecond * 1000
    return StoredObject(meta["path"], int(meta["size"]), nanoseconds, tag)


def _pinned(stored: StoredObject) -> dict[str, str]:
    return {"if_match": f'"{stored.tag}"'} if stored.tag else {}


def _detail(text: str) -> str:
    """What a person needs of a long report of an error."""
    blame = _BLAME.search(text)
    if blame is not None:
        return ": ".join(filter(None, (blame["code"], (blame["message"] or "").rstrip("."))))
    for pattern in (_STATUS, _HTTP_ERRORS):
        match = pattern.search(text)
        if match is not None:
            return match[1].strip()
    return text.splitlines()[0][:200].rstrip(".") if text else "no reason is given"
