"""`[watch.replicate]`, and its errors between watches, which are read from the raw tables."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from checkpointd.config.buckets import missing_extra
from checkpointd.config.section import Section
from checkpointd.config.types import BucketPrefix, Size
from checkpointd.core.urls import is_url, parse_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Loc = tuple[str | int, ...]


class ReplicateSettings(Section):
    """`[watch.replicate]`: copies of valid checkpoints in a bucket; none is pruned without one."""

    to: Annotated[BucketPrefix | None, Field(json_schema_extra={"x-since": "0.2"})] = None
    """Below this URL is a copy of each valid checkpoint, by its path below the root."""

    rate: Annotated[
        Size | None, Field(json_schema_extra={"x-since": "0.2", "x-unit": "bytes a second"})
    ] = None
    """The most that is sent, in bytes a second; unset: as fast as the store takes it."""


def replicate_errors(watches: Sequence[Any]) -> Iterator[tuple[Loc, str]]:
    """Yield the key and the message of each error of `[watch.replicate]`.

    Args:
        watches: the tables `[[watch]]`.
    """
    destinations: list[tuple[int, str]] = []
    for i, watch in enumerate(watches):
        table = watch.get("replicate") if isinstance(watch, dict) else None
        if not isinstance(table, dict):
            continue
        to = table.get("to")
        if to is None:
            if table:
                yield ("watch", i, "replicate"), 'needs to = "s3://bucket/prefix"'
            continue
        if not is_url(to):
            continue  # the schema reports it
        loc = ("watch", i, "replicate", "to")
        if is_url(watch.get("path")):
            message = (
                "what is in a bucket is not copied from here: let the store replicate it, and "
                "leave [watch.replicate] out"
            )
            yield loc, message
        elif missing := missing_extra():
            yield loc, missing
        try:
            destinations.append((i, str(parse_url(to))))
        except ValueError:
            continue  # the same
    yield from _overlaps(watches, destinations)


def _overlaps(
    watches: Sequence[Any], destinations: Sequence[tuple[int, str]]
) -> Iterator[tuple[Loc, str]]:
    for (i, one), (j, other) in combinations(destinations, 2):
        if _overlap(one, other):
            message = f"{other} overlaps with {one} of watch[{i}]: name one for each watch"
            yield ("watch", j, "replicate", "to"), message
    for i, to in destinations:
        for watch in watches:
            root = watch.get("path") if isinstance(watch, dict) else None
            retention = watch.get("retention") if isinstance(watch, dict) else None
            enforces = isinstance(retention, dict) and retention.get("mode") == "enforce"
            if enforces and isinstance(root, str) and is_url(root) and _overlap(root, to):
                message = (
                    f"the watch {watch.get('name')!r} prunes there, and what it removed would be "
                    'copied again: choose another URL, or mode = "dry-run" for that watch'
                )
                yield ("watch", i, "replicate", "to"), message


def _overlap(first: str, second: str) -> bool:
    first, second = first.rstrip("/"), second.rstrip("/")
    return f"{first}/".startswith(f"{second}/") or f"{second}/".startswith(f"{first}/")
