"""What is a URL of a bucket, and what is a path."""

from __future__ import annotations

import pytest

from checkpointd.core.urls import is_plain_key, is_url, other_scheme, parse_url


def test_a_url_is_taken_apart_and_put_together() -> None:
    """Slashes at the end do not count; the whole bucket has an empty key."""
    assert str(parse_url("s3://bucket/runs/a//")) == "s3://bucket/runs/a"
    assert str(parse_url("gs://bucket/")) == "gs://bucket"
    assert parse_url("gs://bucket/a b/ü").key == "a b/ü"


@pytest.mark.parametrize(
    "url", ["s3://", "s3:///x", "s3://b", "s3://bucket/a//b", "gs://bucket/../x", "runs/a", "s3:/b"]
)
def test_what_cannot_be_a_path_is_refused(url: str) -> None:
    """An empty part, `.` and `..` could be taken for another directory."""
    with pytest.raises(ValueError, match=r"expected|no path"):
        parse_url(url)


def test_paths_are_no_urls() -> None:
    """A directory called `s3:` stays one; schemes of others are named."""
    assert not is_url("/s3://bucket")
    assert not is_url("s3:/bucket")
    assert other_scheme("hdfs://host/runs") == "hdfs"
    assert other_scheme("s3://bucket") == ""
    assert other_scheme("/runs") == ""
    assert not is_plain_key("a/../b")
