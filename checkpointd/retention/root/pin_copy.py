"""The copy of a root's pins and tags: paths below the root, so that they move with it.

Copies of earlier versions have no `tags`; those versions take no notice of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.core.tags import why_no_tag
from checkpointd.ledger import Pin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.retention.root.record_file import RecordFile

NAME = "pins.json"


def body_of(root: str, pins: Iterable[Pin]) -> dict[str, Any]:
    """What is written for the pins and tags below a root."""
    start = len(root.rstrip("/")) + 1
    pins = list(pins)
    return {
        "pins": [
            {"id": pin.identity, "path": pin.path[start:], "note": pin.note, "at": pin.at}
            for pin in pins
            if not pin.tag
        ],
        "tags": [
            {"id": pin.identity, "path": pin.path[start:], "tag": pin.tag, "at": pin.at}
            for pin in pins
            if pin.tag
        ],
    }


def pins_in(root: str, file: RecordFile | None) -> list[Pin] | None:
    """The pins and tags of a copy, below the root as it is reached now; None if it is damaged."""
    if file is None:
        return []
    body = file.body or {}
    try:
        pins = [
            Pin(_below(root, one["path"]), str(one["note"]), float(one["at"]), str(one["id"]))
            for one in body["pins"]
        ]
        tags = [
            Pin(_below(root, one["path"]), "", float(one["at"]), str(one["id"]), _tag(one["tag"]))
            for one in body.get("tags", ())
        ]
    except (KeyError, TypeError, ValueError):
        return None
    return [*pins, *tags]


def _below(root: str, relative: str) -> str:
    if not relative or any(part in ("", ".", "..") for part in relative.split("/")):
        raise ValueError("not a path below the root")
    return f"{root.rstrip('/')}/{relative}"


def _tag(text: str) -> str:
    if why_no_tag(text):
        raise ValueError("not a tag")
    return text
