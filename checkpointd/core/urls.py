"""URLs of checkpoints in buckets, `s3://bucket/runs/ckpt-7`; a path of a file is none."""

from __future__ import annotations

import re
from dataclasses import dataclass

SCHEMES = ("gs", "s3")
"""The stores that are known."""

_URL = re.compile(r"(?s)(gs|s3)://([^/]*)(?:/(.*))?")
_BUCKET = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9._-]{1,220}[a-zA-Z0-9]")
_OTHER = re.compile(r"([a-z][a-z0-9+.-]+)://")


@dataclass(frozen=True)
class BucketUrl:
    """One object, or all whose keys begin with `key` and a slash; empty for the whole bucket."""

    scheme: str
    bucket: str
    key: str

    @property
    def root(self) -> str:
        """The URL of the bucket."""
        return f"{self.scheme}://{self.bucket}"

    def __str__(self) -> str:
        return f"{self.root}/{self.key}" if self.key else self.root


def is_url(path: object) -> bool:
    """Whether a text names something in a bucket."""
    return isinstance(path, str) and path.startswith(tuple(f"{s}://" for s in SCHEMES))


def other_scheme(path: object) -> str:
    """Return the scheme of a URL that is none of a bucket, such as `https`; empty for others."""
    match = _OTHER.match(path) if isinstance(path, str) and not is_url(path) else None
    return match[1] if match else ""


def parse_url(url: str) -> BucketUrl:
    """Take a URL apart; slashes at the end do not count.

    Raises:
        ValueError: it is none of a bucket, or its key cannot be a path.
    """
    match = _URL.fullmatch(url)
    if match is None or _BUCKET.fullmatch(match[2]) is None:
        raise ValueError(f'expected "gs://bucket/prefix" or "s3://bucket/prefix", got {url!r}')
    key = (match[3] or "").rstrip("/")
    if not is_plain_key(key) and key:
        raise ValueError(f"{url!r} has an empty part, `.` or `..` in it, which no path can have")
    return BucketUrl(match[1], match[2], key)


def is_plain_key(key: str) -> bool:
    """Whether a key is a relative path: no part of it is empty, `.` or `..`."""
    return "\0" not in key and not any(part in ("", ".", "..") for part in key.split("/"))
