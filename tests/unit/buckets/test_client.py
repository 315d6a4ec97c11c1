"""What the errors of obstore become: sentences that say what to do."""

from __future__ import annotations

import pytest

from checkpointd.buckets.client import BucketClient, ObjectChangedError


class NotFoundError(Exception):
    """Called as obstore's."""


class PreconditionError(Exception):
    """Called as obstore's."""


def _translated(error: Exception) -> OSError:
    client = BucketClient.__new__(BucketClient)
    client._root = "s3://bucket"
    return client._error(error, "runs/a")


def test_a_key_that_cannot_be_a_path_is_named() -> None:
    """No listing can leave it out: the sentence names the key and the cure."""
    text = 'Encountered object with invalid path: Path "runs/a//b" contained empty path segment'
    raised = _translated(Exception(text))
    assert "'runs/a//b' cannot be a path" in str(raised.strerror)
    assert "rename that object" in str(raised.strerror)
    text = 'Encountered object with invalid path: Error parsing Path "runs/../d": Encountered …'
    assert "'runs/../d'" in str(_translated(Exception(text)).strerror)


@pytest.mark.parametrize(
    ("error", "kind", "part"),
    [
        (NotFoundError("404"), FileNotFoundError, "no such object"),
        (NotFoundError("<Code>NoSuchBucket</Code>"), FileNotFoundError, "no such bucket"),
        (PreconditionError("412"), ObjectChangedError, "written over"),
        (Exception("<Code>AccessDenied</Code>"), PermissionError, "check the credentials"),
        (Exception("HTTP error: error sending request\n"), OSError, "error sending request"),
        (Exception("status code: 503 Service Unavailable: x"), OSError, "503"),
    ],
)
def test_errors_have_the_kind_of_a_file_system_s(
    error: Exception, kind: type[OSError], part: str
) -> None:
    """Formats and watches handle them as those of files."""
    raised = _translated(error)
    assert type(raised) is kind
    assert part in str(raised.strerror)
    assert raised.filename == "s3://bucket/runs/a"
