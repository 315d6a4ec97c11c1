"""Errors of watches of buckets, read from the raw tables: what goes with a directory alone."""

from __future__ import annotations

import importlib.util
from itertools import combinations
from typing import TYPE_CHECKING, Any

from checkpointd.core.urls import is_url, parse_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Loc = tuple[str | int, ...]

_INSTALL = "pip install 'checkpointd[buckets]'"


_OF_DIRECTORIES = {
    "links": "symbolic links cannot lead to a bucket",
    "prune_defer": "a bucket is never full",
    "vault": "the bucket's own versions keep what is overwritten",
    "trash_ttl": "for how long a delete can be undone is a setting of the bucket",
    "trash_mode": "what is deleted stays in the bucket's own versions",
    "trash_dir": "what is deleted stays in the bucket's own versions",
}
"""Keys of `[watch.retention]` that speak of a file system, and why a bucket has none of it."""


def missing_extra(*modules: str) -> str:
    """Return a sentence if what buckets need is not installed, or empty.

    Args:
        modules: what is needed; without any, what listing and reading need.
    """
    for module in modules or ("obstore",):
        if not _is_installed(module):
            return f"buckets need the package {module}, which is not installed: {_INSTALL}"
    return ""


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package that it is in
        return False


def missing_for_deletes(url: str) -> str:
    """Return a sentence if what deletes in the bucket of a URL need is not installed, or empty."""
    needed = ("boto3",) if url.startswith("s3:") else ("google.auth", "urllib3")
    return missing_extra(*needed)


def bucket_errors(watches: Sequence[Any], dispatch: Any) -> Iterator[tuple[Loc, str]]:
    """Yield the key and the message of each error of a watch whose path is a URL.

    Args:
        watches: the tables `[[watch]]`.
        dispatch: the table `[dispatch]`.
    """
    is_fleet = isinstance(dispatch, dict) and dispatch.get("engine") not in (None, "local")
    urls: list[tuple[int, str]] = []
    for i, watch in enumerate(watches):
        path = watch.get("path") if isinstance(watch, dict) else None
        if not isinstance(path, str) or not is_url(path):
            continue
        if is_fleet:
            message = (
                "a fleet cannot verify what is in a bucket: it is copied into the state directory, "
                "which the workers do not see; watch it with a daemon of its own, with another "
                "config, state_dir and [web] listen, and without [dispatch]"
            )
            yield ("watch", i, "path"), message
        if missing := missing_extra():
            yield ("watch", i, "path"), missing
        try:
            urls.append((i, str(parse_url(path))))
        except ValueError:
            continue  # the schema reports it
        for loc, message in _errors_of(watch):
            yield ("watch", i, *loc), message
    for (i, one), (j, other) in combinations(urls, 2):
        if f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/"):
            yield ("watch", j, "path"), f"{other} overlaps with {one} of watch[{i}]"


def _errors_of(watch: dict[str, Any]) -> Iterator[tuple[Loc, str]]:
    retention, publish = watch.get("retention"), watch.get("publish")
    if isinstance(retention, dict):
        if retention.get("mode") == "enforce" and (missing := missing_for_deletes(watch["path"])):
            yield ("retention", "mode"), missing
        for key, why in _OF_DIRECTORIES.items():
            if key in retention:
                yield ("retention", key), f"{why}: leave this key out"
    if isinstance(publish, dict) and publish.get("latest_link"):
        message = "a link cannot lead to a bucket; ask `checkpointd latest` instead"
        yield ("publish", "latest_link"), message
    if watch.get("method") == "inotify":
        yield ("method",), "a bucket has no file events; leave this key out"
