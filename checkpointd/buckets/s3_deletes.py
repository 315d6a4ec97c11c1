"""Conditional deletes in S3 and what speaks it, by boto3: `If-Match` on single deletes.

Only where the bucket is versioned: a delete then adds a delete marker, and removing that marker
brings the object back with its ETag and its time. No version but such a marker is ever named in a
delete, because that would be for good; and nothing is deleted in batches, in which stores ignore
conditions.
"""

from __future__ import annotations

import errno
import os
import secrets
from typing import TYPE_CHECKING, Any

from checkpointd.buckets.client import ObjectChangedError
from checkpointd.buckets.deleting import BucketSafety, Fate
from checkpointd.config.buckets import missing_extra

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.buckets.client import StoredObject
    from checkpointd.core.urls import BucketUrl

_CONNECT_SECONDS, _READ_SECONDS = 5, 30
_DELETED, _GONE, _CONFLICT, _CHANGED, _REFUSED = 204, 404, 409, 412, 403
_DAY = 86400.0
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")
_REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")

_NOT_SHOWN = (
    "the store has not shown that it deletes only what was verified: a delete of an object that "
    "does not exist, if its ETag is 0, was answered with {} instead of 412"
)
_NO_UNDO = (
    "versioning of the bucket is {}, so a delete could not be undone: enable it "
    "(`aws s3api put-bucket-versioning --bucket {} --versioning-configuration Status=Enabled`)"
)
_NEEDS_MFA = (
    "MFA Delete is enabled in the bucket, so a delete marker could not be removed again to undo a "
    "delete: disable MFA Delete"
)


class S3Deletes:
    """One bucket; see `DeletingStore`.

    Args:
        url: names it.

    Raises:
        OSError: boto3 is not installed, or what the environment says cannot be used.
    """

    def __init__(self, url: BucketUrl) -> None:
        if missing := missing_extra("boto3"):
            raise OSError(errno.ENOSYS, missing, url.root)
        from botocore.exceptions import BotoCoreError

        self._bucket = url.bucket
        self._root = url.root
        self._is_amazon = not _first(os.environ, _ENDPOINTS)
        try:
            self._client = _open(os.environ)
        except (BotoCoreError, ValueError) as error:
            raise OSError(errno.EINVAL, str(error).rstrip("."), url.root) from None

    def safety(self, own: StoredObject | None = None) -> BucketSafety:
        """Delete what does not exist if its ETag is 0, and ask for the bucket's versioning."""
        status = self._probe(f".checkpointd-probe-{secrets.token_hex(16)}")
        # Amazon answers 404 where there is no object, whatever the condition; others do so too
        # that ignore it.
        is_honoured = status == _CHANGED or (status == _GONE and self._is_amazon)
        is_unproven = status == _GONE and not is_honoured and own is None
        if status == _GONE and not is_honoured and own is not None:
            is_honoured = self._probe(own.key) == _CHANGED
        found = self._call("get_bucket_versioning")
        versioning, no_undo = str(found.get("Status", "off")).lower(), ""
        if versioning != "enabled":
            no_undo = _NO_UNDO.format(versioning, self._bucket)
        elif found.get("MFADelete") == "Enabled":
            no_undo = _NEEDS_MFA
        return BucketSafety(
            "" if is_honoured else _NOT_SHOWN.format(status),
            no_undo,
            None if no_undo else self._undo_seconds(),
            is_unproven,
        )

    def _probe(self, key: str) -> int:
        """What a delete is answered with that no object fulfils the condition of."""
        try:
            self._call("delete_object", key, IfMatch='"0"')
        except ObjectChangedError:
            return _CHANGED
        except FileNotFoundError:
            return _GONE
        return _DELETED

    def _undo_seconds(self) -> float | None:
        """For how long the bucket's own rules keep versions that are not current."""
        try:
            rules = self._call("get_bucket_lifecycle_configuration").get("Rules", ())
        except OSError:
            return None
        days = [
            rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
            for rule in rules
            if rule.get("Status") == "Enabled"
            and "NoncurrentDays" in rule.get("NoncurrentVersionExpiration", {})
        ]
        return min(days) * _DAY if days else None

    def condition_of(self, stored: StoredObject) -> str:
        """Its ETag."""
        if not stored.tag:
            raise OSError(errno.EINVAL, "The store gives it no ETag", self._name(stored.key))
        return stored.tag

    def delete(self, key: str, condition: str) -> str:
        """Add a delete marker if the ETag is still the one; return the id of the marker."""
        try:
            answer = self._call("delete_object", key, IfMatch=f'"{condition}"')
        except ObjectChangedError:
            self._call("head_object", key)  # some answer so about what is not there
            raise
        marker = str(answer.get("VersionId", ""))
        if answer.get("DeleteMarker") is True and marker:
            return marker
        fate, undo = self.fate_of(key, condition)
        if fate is Fate.DELETED:
            return undo
        message = "It was deleted, and the store names no delete marker that brings it back"
        raise OSError(errno.EIO, message, self._name(key))

    def fate_of(self, key: str, condition: str) -> tuple[Fate, str]:
        """Compare the newest versions of a key with an ETag."""
        answer = self._call("list_object_versions", Prefix=key)
        versions = [v for v in answer.get("Versions", ()) if v["Key"] == key]
        markers = [m for m in answer.get("DeleteMarkers", ()) if m["Key"] == key]
        current = next((v for v in versions if v["IsLatest"]), None)
        if current is not None:
            is_same = _tag(current) == condition
            return (Fate.PRESENT if is_same else Fate.OTHER), ""
        marker = next((m for m in markers if m["IsLatest"]), None)
        newest = max(versions, key=lambda v: v["LastModified"], default=None)
        if marker is None or newest is None or _tag(newest) != condition:
            return Fate.OTHER, ""
        return Fate.DELETED, str(marker["VersionId"])

    def restore(self, key: str, condition: str, undo: str) -> None:
        """Remove the delete marker that hides a version."""
        fate, marker = self.fate_of(key, condition)
        if fate is Fate.PRESENT:
            return
        if fate is Fate.OTHER:
            raise self._why_not_restored(key)
        if undo and marker != undo:
            message = "It was deleted once more since, by somebody else"
            raise FileExistsError(errno.EEXIST, message, self._name(key))
        self._call("delete_object", key, VersionId=marker)
        if self.fate_of(key, condition)[0] is not Fate.PRESENT:
            message = "Its delete marker was removed, and it is not back"
            raise OSError(errno.EIO, message, self._name(key))

    def _why_not_restored(self, key: str) -> OSError:
        try:
            self._call("head_object", key)
        except FileNotFoundError:
            message = "The store does not have its content any more"
            return FileNotFoundError(errno.ENOENT, message, self._name(key))
        return FileExistsError(errno.EEXIST, "Another object is there now", self._name(key))

    def _call(self, operation: str, key: str = "", **more: Any) -> dict[str, Any]:
        """Call the store once: a delete that is repeated would find its own result.

        Raises:
            ObjectChangedError: a condition did not hold.
            FileNotFoundError: there is no such object.
            OSError: anything else.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        arguments = {"Bucket": self._bucket, **({"Key": key} if key else {}), **more}
        name = self._name(key)
        try:
            answer: dict[str, Any] = getattr(self._client, operation)(**arguments)
        except ClientError as error:
            raise _os_error(error.response, operation, name) from None
        except BotoCoreError as error:
            why = f"The store does not answer as it should ({str(error).rstrip('.')})"
            raise OSError(errno.EIO, why, name) from None
        return answer

    def _name(self, key: str) -> str:
        return f"{self._root}/{key}" if key else self._root


def _open(environment: Mapping[str, str]) -> Any:
    """Make a client for the same store as obstore's: endpoint and region are named to it."""
    import boto3
    from botocore.config import Config

    endpoint = _first(environment, _ENDPOINTS)
    is_virtual = environment.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "").lower() in ("true", "1")
    style = "virtual" if is_virtual else "path" if endpoint else "auto"
    config = Config(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"total_max_attempts": 1},
        s3={"addressing_style": style},
        ignore_configured_endpoint_urls=True,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    region = _first(environment, _REGIONS) or None
    session = boto3.session.Session(region_name=region)
    if session.region_name is None:
        session = boto3.session.Session(region_name="us-east-1")  # as obstore
    return session.client("s3", endpoint_url=endpoint or None, config=config)


def _first(environment: Mapping[str, str], names: tuple[str, ...]) -> str:
    return next((environment[name] for name in names if environment.get(name)), "")


def _tag(version: dict[str, Any]) -> str:
    return str(version.get("ETag", "")).strip('"')


def _os_error(response: dict[str, Any], operation: str, name: str) -> OSError:
    """Turn an answer that is an error into a sentence."""
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    code = str(response.get("Error", {}).get("Code", ""))
    if status in (_CHANGED, _CONFLICT):
        return ObjectChangedError(errno.ENOENT, "It was written over", name)
    if status == _GONE and code != "NoSuchBucket":
        return FileNotFoundError(errno.ENOENT, "There is no such object", name)
    detail = ": ".join(filter(None, (code, str(response.get("Error", {}).get("Message", "")))))
    if status == _REFUSED:
        right = _RIGHTS.get(operation, "")
        why = f"The store refuses access ({detail.rstrip('.')}): the credentials need {right}"
        return PermissionError(errno.EACCES, why, name)
    why = f"The store does not answer as it should ({detail.rstrip('.')})"
    return OSError(errno.EIO, why, name)


_RIGHTS = {
    "delete_object": "`s3:DeleteObject`, `s3:GetObject`, and for an undo `s3:DeleteObjectVersion`",
    "get_bucket_versioning": "`s3:GetBucketVersioning`",
    "get_bucket_lifecycle_configuration": "`s3:GetLifecycleConfiguration`",
    "list_object_versions": "`s3:ListBucketVersions`",
    "head_object": "`s3:GetObject`",
}
