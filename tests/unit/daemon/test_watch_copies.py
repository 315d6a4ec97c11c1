"""What of a watch waits for its copy, and what failed: its order, its pauses and its sentences."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from checkpointd.config import ReplicateSettings, WatchSettings
from checkpointd.daemon.watch_copies import WatchCopies
from checkpointd.ledger import Unreplicated

if TYPE_CHECKING:
    from collections.abc import Iterator

TO = "s3://backups/runs"
WAITING = [Unreplicated(i, f"/w/ckpt-{i}", "s", 10, float(i), 100.0 + i, i == 4) for i in range(5)]


@pytest.fixture
def copies() -> Iterator[WatchCopies]:
    """Those of a watch with five that wait."""
    replicate = ReplicateSettings(to=TO)
    made = WatchCopies(WatchSettings(name="w", path=Path("/w"), replicate=replicate))
    made.since = 102.0
    made.set_waiting(WAITING)
    yield made
    asyncio.run(made.close())


def _due(copies: WatchCopies) -> list[int]:
    return [one.id for one in copies.due()]


def test_what_waits_is_counted_and_ordered(copies: WatchCopies) -> None:
    """Since the verdict, or since the destination is used, whichever is later."""
    assert _due(copies) == [4, 0, 1, 2, 3]
    status = copies.status()
    assert (status.to, status.waiting, status.waiting_bytes) == (TO, 5, 50)
    assert status.oldest_at == 102.0
    assert not list(copies.problems(is_tight=False))
    assert not copies.note_copied("/w/ckpt-4")
    assert _due(copies) == [0, 1, 2, 3]
    copies.set_waiting([])
    assert copies.status().oldest_at is None


def test_one_that_cannot_be_copied_holds_up_no_other(copies: WatchCopies) -> None:
    """It is named with the reason, comes later, and is forgotten when it waits no more."""
    assert copies.note_failure("/w/ckpt-0", "s3://x is in the way.") == 1
    assert copies.note_failure("/w/ckpt-0", "s3://x is in the way.") == 2
    assert copies.note_failure("/w/ckpt-1", "") == 1
    assert _due(copies) == [4, 2, 3]
    assert 0 < copies.next_due() <= 10
    (text,) = copies.problems(is_tight=False)
    assert "/w/ckpt-0 is not copied" in text
    assert "not pruned: s3://x is in the way." in text
    assert copies.status().failure == "s3://x is in the way."
    copies.set_waiting(WAITING[2:])
    assert not list(copies.problems(is_tight=False))


def test_a_store_that_fails_is_left_alone_for_longer_and_longer(copies: WatchCopies) -> None:
    """All of the watch waits; the first copy that succeeds ends that."""
    assert not copies.is_paused()
    assert [copies.note_store_failure("It is down.") for _ in range(9)] == list(range(1, 10))
    assert copies.is_paused()
    copies.note_failure("/w/ckpt-0", "it is in the way")
    copies.retry()
    assert not copies.is_paused()
    assert _due(copies) == [4, 0, 1, 2, 3]
    copies.set_waiting([one for one in WAITING if one.id])
    copies.set_waiting(WAITING)
    assert copies.note_store_failure("It is down.") == 10
    assert 200 < copies.next_due() <= 300
    (text,) = copies.problems(is_tight=False)
    assert text == (
        f"Watch w: nothing is copied to {TO}: It is down. It is tried again; what waits for its "
        "copy is not pruned."
    )
    assert copies.note_copied("/w/ckpt-4")
    assert not copies.is_paused()
    assert not list(copies.problems(is_tight=False))


def test_a_disk_that_fills_because_of_it_is_said(copies: WatchCopies) -> None:
    """Also where nothing has failed, and the line is just too slow."""
    (text,) = copies.problems(is_tight=True)
    assert "too little space for the next saves" in text
    copies.note_store_failure("It is down.")
    (text,) = copies.problems(is_tight=True)
    assert text.endswith("and nothing that waits for its copy can be pruned.")
    copies.set_waiting([])
    assert "space" not in "".join(copies.problems(is_tight=True))


def test_not_every_failure_is_named(copies: WatchCopies) -> None:
    """Three, and how many more."""
    for one in WAITING:
        copies.note_failure(one.path, "it is in the way")
    found = list(copies.problems(is_tight=False))
    assert len(found) == 4
    assert "2 more are not copied" in found[-1]
