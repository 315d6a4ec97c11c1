"""Conditional deletes in Google Cloud Storage, by its JSON API: `ifGenerationMatch`.

A delete never names `generation`, because that would be for good, with versioning or without. What
was deleted is brought back from soft delete, or copied from the version that is not current; the
copy is another generation of the object.
"""

from __future__ import annotations

import errno
import json
import os
import secrets
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from checkpointd.buckets.client import ObjectChangedError
from checkpointd.buckets.deleting import BucketSafety, Fate
from checkpointd.buckets.writing import BucketWriter
from checkpointd.config.buckets import missing_extra

if TYPE_CHECKING:
    from checkpointd.buckets.client import StoredObject
    from checkpointd.core.urls import BucketUrl

_GOOGLE = "https://storage.googleapis.com"
_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
_SECONDS = 30.0
_OK, _GONE, _CHANGED = (200, 204), 404, 412
_REFUSED = (401, 403)

_NOT_SHOWN = (
    "the store has not shown that it deletes only what was verified: a delete of an object that "
    "does not exist, if its generation is 1, was answered with {} instead of 412"
)
_NO_UNDO = (
    "neither soft delete nor versioning is enabled for the bucket, so a delete could not be "
    "undone: enable one (`gcloud storage buckets update {} --soft-delete-duration=7d`)"
)


class GcsDeletes:
    """One bucket; see `DeletingStore`.

    Args:
        url: names it.

    Raises:
        OSError: google-auth is not installed, or there are no credentials.
    """

    def __init__(self, url: BucketUrl) -> None:
        if missing := missing_extra("google.auth", "urllib3"):
            raise OSError(errno.ENOSYS, missing, url.root)
        self._url = url
        emulator = os.environ.get("STORAGE_EMULATOR_HOST", "")
        base = emulator if "://" in emulator or not emulator else f"http://{emulator}"
        self._base = (base or _GOOGLE).rstrip("/")
        self._is_google = not emulator
        self._writer = BucketWriter(url)
        self._local = threading.local()
        self._credentials = self._default_credentials() if self._is_google else None

    def _default_credentials(self) -> Any:
        import google.auth
        from google.auth.exceptions import GoogleAuthError

        try:
            return google.auth.default(scopes=[_SCOPE])[0]
        except GoogleAuthError as error:
            why = f"No credentials for Google are found ({str(error).rstrip('.')})"
            raise PermissionError(errno.EACCES, why, self._url.root) from None

    def safety(self, own: StoredObject | None = None) -> BucketSafety:
        """Delete what does not exist if its generation is 1, and ask for what the bucket keeps."""
        absent = f".checkpointd-probe-{secrets.token_hex(16)}"
        status, _ = self._request("DELETE", self._object(absent, ifGenerationMatch="1"))
        # Google's own documentation promises it, and may answer 404 where there is no object.
        is_honoured = status == _CHANGED or (status == _GONE and self._is_google)
        is_unproven = status == _GONE and not is_honoured and own is None
        if status == _GONE and not is_honoured and own is not None:
            status, _ = self._request("DELETE", self._object(own.key, ifGenerationMatch="1"))
            is_honoured = status == _CHANGED
        bucket = self._get(self._bucket(fields="softDeletePolicy,versioning"))
        seconds = float((bucket.get("softDeletePolicy") or {}).get("retentionDurationSeconds", 0))
        is_versioned = (bucket.get("versioning") or {}).get("enabled") is True
        return BucketSafety(
            "" if is_honoured else _NOT_SHOWN.format(status),
            "" if seconds or is_versioned else _NO_UNDO.format(self._url.root),
            seconds if seconds and not is_versioned else None,
            is_unproven,
        )

    def condition_of(self, stored: StoredObject) -> str:
        """Its generation."""
        now = self._writer.find(stored.key)
        if now is None or not now.is_same(stored):
            raise ObjectChangedError(errno.ENOENT, "It was written over", self._name(stored.key))
        if not now.version:
            raise OSError(errno.EINVAL, "The store gives it no generation", self._name(stored.key))
        return now.version

    def delete(self, key: str, condition: str) -> str:
        """Delete the current object if it has the generation, which is what is brought back."""
        status, body = self._request("DELETE", self._object(key, ifGenerationMatch=condition))
        if status in _OK:
            return condition
        raise self._error(status, body, key)

    def fate_of(self, key: str, condition: str) -> tuple[Fate, str]:
        """Ask for the current object, then for the one that was deleted."""
        status, body = self._request("GET", self._object(key, fields="generation"))
        if status in _OK:
            is_same = str(body.get("generation")) == condition
            return (Fate.PRESENT if is_same else Fate.OTHER), ""
        if status != _GONE:
            raise self._error(status, body, key)
        for more in ({"softDeleted": "true"}, {}):
            found, _ = self._request("GET", self._object(key, generation=condition, **more))
            if found in _OK:
                return Fate.DELETED, condition
        return Fate.OTHER, ""

    def restore(self, key: str, condition: str, undo: str) -> None:
        """Restore a soft-deleted generation, or copy one that is not current; never over one."""
        generation = undo or condition
        only_new = {"ifGenerationMatch": "0"}
        url = self._object(key, "/restore", generation=generation, **only_new)
        status, body = self._request("POST", url)
        if status not in _OK and status != _CHANGED:
            token = {"": ""}
            name = quote(key, safe="")
            target = f"/rewriteTo/b/{self._url.bucket}/o/{name}"
            while token:
                more = {k: v for k, v in token.items() if k}
                url = self._object(key, target, sourceGeneration=generation, **only_new, **more)
                status, body = self._request("POST", url)
                token = {} if body.get("done", True) else {"rewriteToken": body["rewriteToken"]}
        if status == _CHANGED:
            raise FileExistsError(errno.EEXIST, "Another object is there now", self._name(key))
        if status == _GONE:
            message = "The store does not have its content any more"
            raise FileNotFoundError(errno.ENOENT, message, self._name(key))
        if status not in _OK:
            raise self._error(status, body, key)

    def _bucket(self, **query: str) -> str:
        return f"{self._base}/storage/v1/b/{self._url.bucket}?{urlencode(query)}"

    def _object(self, key: str, after: str = "", **query: str) -> str:
        path = f"{self._base}/storage/v1/b/{self._url.bucket}/o/{quote(key, safe='')}{after}"
        return f"{path}?{urlencode(query)}"

    def _get(self, url: str) -> dict[str, Any]:
        status, body = self._request("GET", url)
        if status not in _OK:
            raise self._error(status, body, "")
        return body

    def _request(self, method: str, url: str) -> tuple[int, dict[str, Any]]:
        """Send one request; it is never repeated, because it would find its own result.

        Raises:
            OSError: there is no answer.
        """
        import urllib3
        from google.auth.exceptions import GoogleAuthError

        try:
            answer = self._http().request(method, url, retries=False, timeout=_SECONDS)
        except (urllib3.exceptions.HTTPError, GoogleAuthError) as error:
            why = f"The store does not answer ({type(error).__name__})"
            raise OSError(errno.EIO, why, self._url.root) from None
        try:
            body = json.loads(answer.data or b"{}")
        except ValueError:
            body = {}
        return int(answer.status), body if isinstance(body, dict) else {}

    def _http(self) -> Any:
        """A pool of connections for each thread, with the credentials."""
        import urllib3

        if not hasattr(self._local, "http"):
            pool = urllib3.PoolManager()
            if self._credentials is not None:
                from google.auth.transport.urllib3 import AuthorizedHttp

                pool = AuthorizedHttp(self._credentials, http=pool)
            self._local.http = pool
        return self._local.http

    def _error(self, status: int, body: dict[str, Any], key: str) -> OSError:
        name = self._name(key)
        if status == _CHANGED:
            return ObjectChangedError(errno.ENOENT, "It was written over", name)
        if status == _GONE:
            return FileNotFoundError(errno.ENOENT, "There is no such object", name)
        error = body.get("error")
        detail = str(error.get("message", "")) if isinstance(error, dict) else ""
        detail = f"{status} {detail}".strip().rstrip(".")
        if status in _REFUSED:
            why = (
                f"The store refuses access ({detail}): the credentials need "
                "`storage.objects.delete`, `.create`, `.restore` and `storage.buckets.get`"
            )
            return PermissionError(errno.EACCES, why, name)
        return OSError(errno.EIO, f"The store does not answer as it should ({detail})", name)

    def _name(self, key: str) -> str:
        return f"{self._url.root}/{key}" if key else self._url.root
