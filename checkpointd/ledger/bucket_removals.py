"""What was removed from buckets: recorded before the first delete, so that each can be undone.

A bucket has no trash of its own: what was deleted is in the store's versions. These records say
which, and how far a removal or its undo has come.
"""

from __future__ import annotations

import enum
import json
import time
from dataclasses import dataclass, replace
from typing import Any

from checkpointd.core.encode import to_json
from checkpointd.ledger import rows


class RemovalStage(enum.StrEnum):
    """How far a removal from a bucket, or its undo, has come."""

    DELETING = "deleting"
    DONE = "done"
    RESTORING = "restoring"


@dataclass(frozen=True)
class RemovedObject:
    """One object of a removal.

    `condition` is the identity under which alone it is deleted: its ETag, or its generation.
    `undo` is by what the store brings it back (the id of the delete marker, or the generation);
    empty as long as that is not known.
    """

    key: str
    size: int
    condition: str
    undo: str = ""


@dataclass(frozen=True)
class BucketRemoval:
    """One checkpoint that is being removed from a bucket, or was.

    `objects` are in the order in which they are deleted; `generation` is the key of what was
    verified. `undo_seconds` is for how long the store keeps what was deleted; None: not known.
    """

    item: str
    path: str
    watch: str
    at: float
    rule: str
    reason: str
    series: str
    format: str
    size_bytes: int
    generation: str
    objects: tuple[RemovedObject, ...]
    stage: RemovalStage = RemovalStage.DELETING
    undo_seconds: float | None = None

    def at_stage(self, stage: RemovalStage) -> BucketRemoval:
        """The same at another stage."""
        return replace(self, stage=stage)

    @property
    def is_expired(self) -> bool:
        """Whether the store can no longer undo the deletes, as far as that is known."""
        return self.undo_seconds is not None and time.time() > self.at + self.undo_seconds


def dump(removal: BucketRemoval) -> str:
    """What a row has of a removal beside its path and its stage."""
    return json.dumps({**to_json(removal), "path": "", "stage": ""}, separators=(",", ":"))


def load(path: bytes, stage: str, body: bytes) -> BucketRemoval:
    """The removal of a row."""
    values: dict[str, Any] = json.loads(rows.text_of(body))
    objects = tuple(RemovedObject(**one) for one in values.pop("objects"))
    values.update(path=rows.path_text(path), stage=RemovalStage(stage))
    return BucketRemoval(objects=objects, **values)
