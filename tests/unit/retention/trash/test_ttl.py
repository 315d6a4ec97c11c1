"""For how long items stay when `trash_ttl` changes."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from checkpointd.config import RetentionSettings, WatchSettings
from checkpointd.ledger import Ledger, TrashTtl
from checkpointd.retention import Pruner, find_references, plan
from checkpointd.retention.trash import bytes_of
from checkpointd.retention.trash_ttl import kept_longer, limits_of, ttl_of, updated
from tests.helpers.ledger import WRITERS, record_verdict

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOUR = 3600.0
NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("before", "ttl", "after"),
    [
        (None, 72, TrashTtl(72)),
        (TrashTtl(72), 72, TrashTtl(72)),
        (TrashTtl(72), 96, TrashTtl(96)),
        (TrashTtl(72), 1, TrashTtl(1, 72, NOW)),
        (TrashTtl(1, 72, NOW - 9), 1, TrashTtl(1, 72, NOW - 9)),
        (TrashTtl(24, 72, NOW - 9), 1, TrashTtl(1, 72, NOW)),
        (TrashTtl(1, 72, NOW - 9), 24, TrashTtl(24, 72, NOW - 9)),
        (TrashTtl(1, 72, NOW - 9), 72, TrashTtl(72)),
    ],
)
def test_a_lower_one_is_not_true_of_what_was_there_before(
    before: TrashTtl | None, ttl: float, after: TrashTtl
) -> None:
    """Set as it was, nothing has happened; `confirm = "never"` asks nobody."""
    assert updated(before, ttl, NOW, "changes") == after
    assert updated(before, ttl, NOW, "never") == TrashTtl(ttl)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A ledger, and beside it a root with one of two in the trash for two days."""
    (tmp_path / "state").mkdir()
    opened = Ledger.open(tmp_path / "state")
    root = tmp_path / "root"
    policy = RetentionSettings(keep_last=1, keep_min_valid=1, min_age="1ms", mode="enforce")
    for number in (1, 2):
        record_verdict(opened, WRITERS["file"](root / f"ckpt-{number}", 1000.0 + number))
    named = find_references(str(root))
    planned = plan(opened.entries("w"), policy, time.time() + 10, named)
    assert [removal.done for removal in Pruner(str(root), opened).apply(planned)] == [True]
    yield opened
    opened.close()


def test_what_would_be_deleted_at_once_is_counted_and_stays(ledger: Ledger, tmp_path: Path) -> None:
    """Until a person has confirmed it; what is moved there later goes by the lower one."""
    policy = RetentionSettings(keep_last=1, mode="enforce", trash_ttl="1ms")
    watch = WatchSettings(name="w", path=tmp_path / "root", retention=policy)
    ledger.record_trash_ttl("w", TrashTtl(72 * HOUR))
    pruner = Pruner(str(watch.path), ledger)
    (item,) = pruner.trash.items()
    now = item.manifest.at + 1
    found = ttl_of(ledger, watch, now)
    limits = limits_of(ledger, watch, found)
    assert pruner.expire(limits).deleted == ()
    later = replace(item, manifest=replace(item.manifest, at=now + 1))
    assert [limits.ttl_of(one) for one in (item, later)] == [72 * HOUR, 1e-3]
    (hold,) = kept_longer(ledger, watch, now)
    assert hold.message == (
        f"trash_ttl was lowered from 3d to 0.001s: 1 in the trash ({bytes_of([item])} B) "
        "would be deleted for good at once; they stay for the 3d."
    )
    assert "prune w --apply" in hold.cure
    ledger.record_trash_ttl("w", TrashTtl(1e-3))
    assert kept_longer(ledger, watch, now) == ()
    (deleted,) = pruner.expire(limits_of(ledger, watch, ttl_of(ledger, watch, now))).deleted
    assert deleted.reason.endswith("trash_ttl = 0.001s")
