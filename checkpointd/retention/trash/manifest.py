"""What is recorded about one item of the trash before anything is moved into it."""

from __future__ import annotations

import enum
import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkpointd.core import decode
from checkpointd.core.encode import to_json
from checkpointd.retention.files import Part

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.core.checkpoint import Generation
    from checkpointd.ledger import Entry

_VERSION = 1
_READ_LIMIT = 16 * 1024 * 1024


class Stage(enum.StrEnum):
    """The stage of an item; it is the name of the manifest file, so that a rename changes it."""

    MOVING = "manifest.moving.json"
    DONE = "manifest.json"
    RESTORING = "manifest.restoring.json"
    DELETING = "manifest.deleting.json"


@dataclass(frozen=True)
class Manifest:
    """One pruned checkpoint: its path below the root, its parts, when and why it was removed.

    `at` is in seconds since the epoch, `entry` the ledger's id of it, `generation` what was
    verified, `ledger` the id of the ledger. `policy_changed` says that it was removed in the first
    round of another policy, `source` is the key of the generation that a copy in the vault is of.
    """

    path: str
    watch: str
    series: str
    format: str
    entry: int
    generation: Generation
    size_bytes: int
    at: float
    rule: str
    reason: str
    parts: tuple[Part, ...]
    policy_changed: bool = False
    source: str = ""
    ledger: str = ""

    @classmethod
    def of(
        cls,
        entry: Entry,
        path: str,
        parts: Iterable[Part],
        *,
        rule: str,
        reason: str,
        at: float | None = None,
    ) -> Manifest:
        """That of a checkpoint which the ledger knows, at a path below the root.

        Args:
            entry: what the ledger knows of it.
            path: where it is, below the root.
            parts: the names that are moved.
            rule: the rule that removes it.
            reason: why it is removed, in a sentence.
            at: seconds since the epoch; now if None.
        """
        return cls(
            path=path,
            watch=entry.checkpoint.watch,
            series=entry.checkpoint.series,
            format=str(entry.checkpoint.format),
            entry=entry.id,
            generation=entry.generation,
            size_bytes=entry.generation.size_bytes,
            at=time.time() if at is None else at,
            rule=rule,
            reason=reason,
            parts=tuple(parts),
        )


def write_manifest(
    manifest: Manifest, item_fd: int, mode: int = 0o600, stage: Stage = Stage.MOVING
) -> None:
    """Write the manifest of a new item, at a stage; on disk when this returns.

    Raises:
        OSError: it cannot be written.
    """
    data = json.dumps({"version": _VERSION, **to_json(manifest)}, indent=1).encode() + b"\n"
    new = "manifest.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    file = os.open(new, flags, 0o600, dir_fd=item_fd)
    try:
        while data:
            data = data[os.write(file, data) :]
        os.fchmod(file, mode)
        os.fsync(file)
    finally:
        os.close(file)
    os.rename(new, stage, src_dir_fd=item_fd, dst_dir_fd=item_fd)
    os.fsync(item_fd)


def read_manifest(item_fd: int) -> tuple[Stage, Manifest, int] | None:
    """The stage of an item, its manifest and who wrote that; None if it cannot be understood.

    Raises:
        OSError: it is there and cannot be read.
    """
    for stage in Stage:
        try:
            file = os.open(stage, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=item_fd)
        except FileNotFoundError:
            continue
        try:
            owner = os.fstat(file).st_uid
            data = os.read(file, _READ_LIMIT)
        finally:
            os.close(file)
        try:
            return stage, _parse(json.loads(data)), owner
        except (ValueError, KeyError, TypeError):
            return None
    return None


def _parse(data: Any) -> Manifest:
    if data["version"] != _VERSION:
        raise ValueError("another version")
    texts = {key: data[key] for key in ("path", "watch", "series", "format", "rule", "reason")}
    parts = tuple(
        Part(p["name"], int(p["inode"]), bool(p["directory"]), bool(p["companion"]))
        for p in data["parts"]
    )
    names = [texts["path"], *(p.name for p in parts)]
    if not all(isinstance(text, str) for text in (*texts.values(), *names)) or not parts:
        raise ValueError("text expected")
    if any("/" in p.name or p.name in ("", ".", "..") for p in parts):
        raise ValueError("not a file name")
    return Manifest(
        **texts,
        entry=int(data["entry"]),
        generation=decode.generation(data["generation"]),
        size_bytes=int(data["size_bytes"]),
        at=float(data["at"]),
        parts=parts,
        policy_changed=data.get("policy_changed") is True,
        source=str(data.get("source", "")),
        ledger=str(data.get("ledger", "")),
    )
