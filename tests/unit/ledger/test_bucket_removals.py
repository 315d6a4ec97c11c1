"""What the ledger keeps of removals from buckets."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.ledger import BucketRemoval, Ledger, RemovalStage, RemovedObject, State
from tests.helpers.ledger import generation, record_verdict

if TYPE_CHECKING:
    from pathlib import Path

PATH = "s3://bucket/runs/ckpt-\udc80"
REMOVAL = BucketRemoval(
    item="1-a",
    path=PATH,
    watch="w",
    at=1000.0,
    rule="keep_last",
    reason="it is not one of the last 2",
    series="ckpt-{}",
    format="keras",
    size_bytes=10,
    generation="key",
    objects=(RemovedObject("runs/ckpt-\udc80", 10, "etag"),),
)


def test_a_removal_is_there_before_the_first_delete_and_until_it_is_undone(tmp_path: Path) -> None:
    """It outlives the process; the checkpoint counts as pruned only when it is finished."""
    ledger = Ledger.open(tmp_path)
    record_verdict(ledger, (Checkpoint(PATH, Format.KERAS, watch="w"), generation()))
    ledger.put_bucket_removal(REMOVAL)
    ledger.close()
    ledger = Ledger.open(tmp_path)
    assert ledger.bucket_removals("w") == [REMOVAL]
    assert ledger.bucket_removals("other") == []
    entry = ledger.entry(PATH)
    assert entry is not None
    assert entry.state is State.VALID
    done = replace(REMOVAL, objects=(replace(REMOVAL.objects[0], undo="marker"),))
    ledger.finish_bucket_removal(done)
    assert ledger.bucket_removals() == [done.at_stage(RemovalStage.DONE)]
    entry = ledger.entry(PATH)
    assert entry is not None
    assert entry.state is State.TRASHED
    assert [pruned.item for pruned in ledger.prunes("w")] == ["1-a"]
    ledger.forget_bucket_removals(["1-a"])
    assert not ledger.bucket_removals()
    ledger.close()


def test_a_removal_expires_only_where_the_bucket_says_when() -> None:
    """Without a known rule nobody knows when the store lets go of what was deleted."""
    assert not REMOVAL.is_expired
    assert replace(REMOVAL, undo_seconds=60.0).is_expired
    assert not replace(REMOVAL, at=time.time(), undo_seconds=60.0).is_expired
