"""The copy of a root's pins: their paths below the root, so that they move with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.ledger import Pin

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.retention.root.record_file import RecordFile

NAME = "pins.json"


def body_of(root: str, pins: Iterable[Pin]) -> dict[str, Any]:
    """What is written for the pins below a root."""
    start = len(root.rstrip("/")) + 1
    return {
        "pins": [
            {"id": pin.identity, "path": pin.path[start:], "note": pin.note, "at": pin.at}
            for pin in pins
        ]
    }


def pins_in(root: str, file: RecordFile | None) -> list[Pin] | None:
    """The pins of a copy, below the root as it is reached now; None if the copy is damaged."""
    if file is None:
        return []
    try:
        return [
            Pin(_below(root, one["path"]), str(one["note"]), float(one["at"]), str(one["id"]))
            for one in (file.body or {})["pins"]
        ]
    except (KeyError, TypeError, ValueError):
        return None


def _below(root: str, relative: str) -> str:
    if not relative or any(part in ("", ".", "..") for part in relative.split("/")):
        raise ValueError("not a path below the root")
    return f"{root.rstrip('/')}/{relative}"
