"""What the errors of boto3 become: what a removal has to know, or a sentence."""

from __future__ import annotations

import pytest

from checkpointd.buckets.client import ObjectChangedError
from checkpointd.buckets.s3_deletes import _os_error


@pytest.mark.parametrize(
    ("status", "code", "operation", "kind", "part"),
    [
        (412, "PreconditionFailed", "delete_object", ObjectChangedError, "written over"),
        (409, "ConditionalRequestConflict", "delete_object", ObjectChangedError, "written over"),
        (404, "NoSuchKey", "delete_object", FileNotFoundError, "no such object"),
        (404, "NoSuchBucket", "get_bucket_versioning", OSError, "NoSuchBucket"),
        (403, "AccessDenied", "get_bucket_versioning", PermissionError, "s3:GetBucketVersioning"),
        (501, "NotImplemented", "delete_object", OSError, "NotImplemented: A header"),
    ],
)
def test_an_answer_of_a_store_becomes_an_error(
    status: int, code: str, operation: str, kind: type[OSError], part: str
) -> None:
    """What is changed or gone is told apart from what nobody knows."""
    response = {
        "Error": {"Code": code, "Message": "A header is not known."},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    error = _os_error(response, operation, "s3://bucket/key")
    assert type(error) is kind
    assert part in str(error)
