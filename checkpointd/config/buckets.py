"""Errors of watches of buckets, read from the raw tables: what goes with a directory alone."""

from __future__ import annotations

import importlib.util
from itertools import combinations
from typing import TYPE_CHECKING, Any

from checkpointd.core.urls import is_url, parse_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Loc = tuple[str | int, ...]

WHY_NOTHING_IS_REMOVED = (
    "nothing is removed from a bucket by this version: that needs deletes which the store makes "
    "only of what was verified, and an undo"
)
"""The end of every sentence about retention in a bucket."""

_INSTALL = "pip install 'checkpointd[buckets]'"


def missing_extra() -> str:
    """Return a sentence if what buckets need is not installed, or empty."""
    if importlib.util.find_spec("obstore") is not None:
        return ""
    return f"URLs of buckets need the package obstore, which is not installed: {_INSTALL}"


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
    if isinstance(retention, dict) and retention.get("mode") == "enforce":
        message = f'must be "off" or "dry-run" for a bucket: {WHY_NOTHING_IS_REMOVED}'
        yield ("retention", "mode"), message
    if isinstance(publish, dict) and publish.get("latest_link"):
        message = "a link cannot lead to a bucket; ask `checkpointd latest` instead"
        yield ("publish", "latest_link"), message
    if watch.get("method") == "inotify":
        yield ("method",), "a bucket has no file events; leave this key out"
