"""The conversion of rows: JSON, checksums, and text that is not valid Unicode."""

from __future__ import annotations

import json
import math
import os
import zlib
from typing import TYPE_CHECKING, Any

from checkpointd.core import decode
from checkpointd.core.encode import to_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.core.checkpoint import Checkpoint, Generation
    from checkpointd.core.report import Facts, Report

COLUMNS = (
    "id",
    "path",
    "watch",
    "series",
    "state",
    "key",
    "size",
    "saved_at",
    "first_seen",
    "seen",
    "sequence",
    "checkpoint",
    "generation",
    "message",
    "report",
    "seal",
)
"""The columns of `checkpoints`, in order."""


def seal(values: Sequence[Any]) -> int:
    """The checksum of a row of `checkpoints`: all its columns but `id` and `seal`."""
    return zlib.crc32(repr(tuple(values)).encode("utf-8", "surrogatepass"))


def sealed(row: Sequence[Any]) -> bool:
    """Whether a row is what was written."""
    return bool(seal(row[1:-1]) == row[-1])


def encode(text: str) -> bytes:
    """Encode text that may hold parts of a path that is not Unicode."""
    return text.encode("utf-8", "surrogatepass")


def text_of(data: bytes) -> str:
    """The inverse of `encode`."""
    return data.decode("utf-8", "surrogatepass")


def dump(value: Checkpoint | Generation) -> str:
    """A fact as JSON in ASCII."""
    return json.dumps(to_json(value), separators=(",", ":"))


def load_checkpoint(text: str, shared: dict[str, str] | None = None) -> Checkpoint:
    """Read a checkpoint; ValueError if it is not one.

    Args:
        text: the checkpoint.
        shared: texts that others have as well, so that each is in memory once; it grows.
    """
    data = json.loads(text)
    if shared is not None and isinstance(data, dict):
        for key in ("watch", "series"):
            if isinstance(value := data.get(key), str):
                data[key] = shared.setdefault(value, value)
    return decode.checkpoint(data)


def load_generation(text: str) -> Generation:
    """Read a generation; ValueError if it is not one."""
    return decode.generation(json.loads(text))


def dump_report(report: Report) -> bytes:
    """A report as compressed JSON."""
    return zlib.compress(json.dumps(to_json(report), separators=(",", ":")).encode(), 1)


def evaluations(number: int | None, facts: Facts) -> list[tuple[Any, ...]]:
    """The rows of `evaluations` for a report: what is not finite is never the best."""
    return [
        (number, metric, value, facts.evaluated_by)
        for metric, value in facts.evaluation.items()
        if math.isfinite(value)
    ]


def load_report(body: bytes) -> Report | None:
    """Read a report; None if it is damaged."""
    try:
        return decode.report(json.loads(zlib.decompress(body)))
    except (ValueError, zlib.error, RecursionError):
        return None


def path_bytes(path: str) -> bytes:
    """A path as the file system has it."""
    return os.fsencode(path)


def path_text(path: bytes) -> str:
    """The inverse of `path_bytes`."""
    return os.fsdecode(path)
