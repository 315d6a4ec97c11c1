"""When the daemon deletes from the trash: never in off, by no clock that was set, or for space."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from checkpointd.daemon import plan_times
from checkpointd.ledger import Ledger
from checkpointd.retention import Trash
from checkpointd.retention.trash import Disk, expiry
from tests.helpers.clocks import Clocks
from tests.helpers.ledger import tree
from tests.helpers.retention_daemon import ENFORCE, Daemon, running, write

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path


DAY = 86400.0


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_times, "_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(plan_times, "_PAUSE_SHARE", 0.0)


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """What every ledger reads, and `time.time` shows."""
    clocks, real = Clocks(), time.time
    monkeypatch.setattr(Ledger, "read_clocks", staticmethod(clocks.read))
    monkeypatch.setattr(time, "time", lambda: real() + clocks.set + clocks.passed)
    return clocks


def _run(root: Path, act: Callable[[Daemon], Awaitable[None]]) -> None:
    async def main() -> None:
        async with running(root) as daemon:
            await act(daemon)

    asyncio.run(main())


def _trashed(root: Path) -> int:
    return len(Trash(str(root)).items())


@pytest.mark.parametrize("by", [365 * DAY, -365 * DAY])
def test_a_clock_that_is_set_deletes_nothing_and_delays_nothing(
    root: Path, clocks: Clocks, by: float
) -> None:
    """Forward or back: what was moved an hour ago stays, and goes after three days."""
    write(root, "file", 4)

    async def act(daemon: Daemon) -> None:
        daemon.begin(ENFORCE)
        await daemon.round()
        assert _trashed(root) == 3
        clocks.passed += 3600
        await daemon.round()
        clocks.set += by
        await daemon.round()
        assert _trashed(root) == 3
        clocks.passed += 70 * 3600
        await daemon.round()
        assert _trashed(root) == 3
        clocks.passed += 2 * 3600
        await daemon.round()
        assert _trashed(root) == 0
        assert daemon.deleted == ["expired"] * 3

    _run(root, act)


@pytest.mark.parametrize("by", [365 * DAY, -365 * DAY])
def test_a_clock_that_was_set_while_the_daemon_was_down_deletes_nothing(
    root: Path, clocks: Clocks, by: float
) -> None:
    """The machine was not started again, so its own clock tells how long that was."""
    write(root, "file", 4)

    async def prune(daemon: Daemon) -> None:
        daemon.begin(ENFORCE)
        await daemon.round()

    async def wait(daemon: Daemon) -> None:
        daemon.begin(ENFORCE)
        await daemon.round()
        assert _trashed(root) == 3
        clocks.passed += 73 * 3600
        await daemon.round()
        assert _trashed(root) == 0

    _run(root, prune)
    clocks.set += by
    _run(root, wait)


def test_min_age_and_ttl_do_not_end_early(root: Path, clocks: Clocks) -> None:
    """The clock is put forward by a year: nothing is older than before."""
    write(root, "file", 4)
    policy = ENFORCE.model_copy(update={"min_age": 3600.0, "ttl": 30 * DAY})

    async def act(daemon: Daemon) -> None:
        daemon.begin(policy)
        await daemon.round()
        clocks.set += 365 * DAY
        await daemon.round()
        assert len(tree(root)) == 4
        clocks.passed += 7200
        daemon.retention._running["w"].due = 0.0
        await daemon.round()
        assert len(tree(root)) == 1

    _run(root, act)


def test_in_off_nothing_expires(root: Path, clocks: Clocks) -> None:
    """However old it is, and however full the disk; what is restored comes back."""
    write(root, "file", 4)

    async def prune(daemon: Daemon) -> None:
        daemon.begin(ENFORCE)
        await daemon.round()

    async def off(daemon: Daemon) -> None:
        daemon.begin(ENFORCE.model_copy(update={"mode": "off"}))
        clocks.passed += 365 * DAY
        await daemon.round()
        assert _trashed(root) == 3
        await daemon.retention.restore(str(root / "ckpt-0"))
        assert _trashed(root) == 2
        ids = frozenset(item.id for item in Trash(str(root)).items())
        assert len((await daemon.retention.empty_trash(ids))["deleted"]) == 2

    _run(root, prune)
    _run(root, off)


def test_what_a_changed_policy_removed_is_the_last_to_be_deleted_for_space(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is nearly full, and the next saves fit: it stays, and the status says what comes."""
    write(root, "file", 4)
    monkeypatch.setattr(expiry, "disk_of", lambda _: Disk(1000, 20))
    monkeypatch.setattr("checkpointd.daemon.disk_meter.disk_of", lambda _: Disk(1000, 20))

    async def act(daemon: Daemon) -> None:
        daemon.begin(ENFORCE)
        await daemon.round()
        assert _trashed(root) == 3
        (problem,) = daemon.retention.disk_problems()
        assert problem.startswith("Watch w: the trash holds 21 B, the disk has 20 B free")

    _run(root, act)
