"""The trash of a watch that was taken out of the config: listed, restorable, and it expires."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from checkpointd.config import RetentionSettings, WatchSettings
from checkpointd.daemon.former_trashes import FormerTrashes
from checkpointd.daemon.ledger_records import LedgerRecords
from checkpointd.daemon.threads import LedgerThread
from checkpointd.ledger import KnownTrash, Ledger, State
from checkpointd.retention import Pruner, plan
from checkpointd.retention.trash import trash_place
from tests.helpers.ledger import WRITERS, record_verdict

if TYPE_CHECKING:
    from pathlib import Path

POLICY = RetentionSettings(keep_last=2, min_age="1ms", mode="enforce")


def _pruned(tmp_path: Path, *, mode: str = "enforce", ttl: float = 3600.0) -> KnownTrash:
    """A root with two checkpoints in its trash, and the ledger that knows of it."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "state").mkdir()
    ledger = Ledger.open(tmp_path / "state")
    for number in range(4):
        record_verdict(ledger, WRITERS["prefix"](root / f"ckpt-{number}", 1000.0 + number))
    Pruner(str(root), ledger).apply(plan(ledger.entries("w"), POLICY, time.time()))
    known = KnownTrash(trash_place(str(root)).directory, str(root), "w", ttl, mode)
    ledger.record_trash(known)
    ledger.close()
    return known


async def _with(tmp_path: Path, running: dict[str, WatchSettings]) -> tuple[FormerTrashes, object]:
    ledger = LedgerThread(lambda _: None)
    await ledger.open(tmp_path / "state")
    return FormerTrashes(LedgerRecords(ledger), lambda: running), ledger


def _round(tmp_path: Path, running: dict[str, WatchSettings] | None = None) -> list[KnownTrash]:
    """One round; returns what the ledger still knows then."""

    async def main() -> None:
        former, ledger = await _with(tmp_path, running or {})
        await former.round()
        former.close()
        await ledger.close()  # type: ignore[attr-defined]

    asyncio.run(main())
    opened = Ledger.open(tmp_path / "state", readonly=True)
    try:
        return opened.trashes()
    finally:
        opened.close()


def test_it_expires_by_the_last_known_policy_and_is_forgotten_when_empty(tmp_path: Path) -> None:
    """The directory of the trash is removed as well: nobody else would."""
    known = _pruned(tmp_path, ttl=0.0)
    assert _round(tmp_path) == []
    assert not (tmp_path / "root" / ".checkpointd-trash").exists()
    assert known.root == str(tmp_path / "root")


@pytest.mark.parametrize("running", [False, True])
def test_it_is_left_to_a_watch_that_runs(tmp_path: Path, running: bool) -> None:
    """Two would disturb each other."""
    known = _pruned(tmp_path, ttl=0.0)
    settings = WatchSettings(name="w", path=tmp_path / "root", retention=POLICY)
    left = _round(tmp_path, {known.directory: settings} if running else {})
    assert bool(left) is running


def test_nothing_expires_if_the_mode_was_off(tmp_path: Path) -> None:
    """It is listed until somebody empties it."""
    known = _pruned(tmp_path, mode="off", ttl=0.0)
    assert _round(tmp_path) == [known]


def test_a_root_that_is_not_mounted_is_not_forgotten(tmp_path: Path) -> None:
    """Its trash is there again when it is."""
    known = _pruned(tmp_path, ttl=0.0)
    (tmp_path / "root").rename(tmp_path / "away")
    assert _round(tmp_path) == [known]
    (tmp_path / "away").rename(tmp_path / "root")
    assert _round(tmp_path) == []


def test_a_watch_with_another_trash_directory_decides_about_the_old_one(tmp_path: Path) -> None:
    """By its `trash_ttl`, as it is now, if nobody is asked; a lower one deletes nothing else."""
    known = _pruned(tmp_path, ttl=3600.0)
    policy = POLICY.model_copy(update={"trash_ttl": 0.0})
    settings = WatchSettings(name="w", path=tmp_path / "root", retention=policy)
    assert _round(tmp_path, {"/elsewhere": settings}) == [known]
    never = policy.model_copy(update={"confirm": "never"})
    settings = settings.model_copy(update={"retention": never})
    assert _round(tmp_path, {"/elsewhere": settings}) == []
    assert not (tmp_path / "root" / ".checkpointd-trash").exists()
    assert known.ttl == 3600.0


def test_what_is_in_it_can_be_restored(tmp_path: Path) -> None:
    """It is pinned; what is not in it is not found."""
    root = tmp_path / "root"
    _pruned(tmp_path)

    async def main() -> None:
        former, ledger = await _with(tmp_path, {})
        item = await former.restore(str(root / "ckpt-0"))
        assert item is not None
        assert await former.restore("/elsewhere/ckpt-0") is None
        assert await former.restore(str(root / "ckpt-3")) is None
        former.close()
        await ledger.close()  # type: ignore[attr-defined]

    asyncio.run(main())
    assert (root / "ckpt-0.index").exists()
    opened = Ledger.open(tmp_path / "state", readonly=True)
    entry = opened.entry(str(root / "ckpt-0"))
    opened.close()
    assert entry is not None
    assert (entry.state, entry.pinned) == (State.VALID, True)
