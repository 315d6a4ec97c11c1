"""How the retention of a watch ends and begins again: real disk, real ledger."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from checkpointd.daemon import watch_retention
from checkpointd.daemon.disk_usage import DiskUsage
from checkpointd.ledger import Change, ChangeKind
from checkpointd.retention import Pruner
from tests.helpers.ledger import tree
from tests.helpers.retention_daemon import ENFORCE, running, until, write

if TYPE_CHECKING:
    from pathlib import Path

DRY = ENFORCE.model_copy(update={"mode": "dry-run"})
OFF = ENFORCE.model_copy(update={"mode": "off"})


pytestmark = pytest.mark.usefixtures("in_a_hurry")


def _pruners_that_wait(monkeypatch: pytest.MonkeyPatch) -> tuple[threading.Event, threading.Event]:
    """Let every pruner set one event in its first move and wait for the other."""
    begun, gate = threading.Event(), threading.Event()

    def wait(step: str) -> None:
        if step == "move":
            begun.set()
            gate.wait()

    monkeypatch.setattr(watch_retention, "Pruner", partial(Pruner, on_step=wait))
    monkeypatch.setattr(watch_retention, "_THREADS", 1)
    return begun, gate


def test_a_watch_that_is_forgotten_prunes_no_further(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reload to mode = "off" means now; what is being moved is completed and counted."""
    write(root, "file", 8)
    begun, gate = _pruners_that_wait(monkeypatch)

    async def main() -> None:
        async with running(root) as daemon:
            daemon.begin(ENFORCE)
            await asyncio.to_thread(begun.wait)
            leaving = asyncio.create_task(daemon.retention.forget("w"))
            await asyncio.wait({leaving}, timeout=0.1)
            assert not leaving.done()
            gate.set()
            await leaving
            assert len(tree(root)) == 7
            assert daemon.pruned == ["unclaimed"]
        assert len(tree(root)) == 7

    asyncio.run(main())


@pytest.mark.parametrize("turns", range(6))
def test_a_change_in_the_moment_of_the_end_does_not_keep_retention_running(
    root: Path, turns: int
) -> None:
    """The daemon ends on SIGTERM, whatever has just been asked for."""

    async def main() -> None:
        async with running(root) as daemon:
            daemon.begin(OFF)
            await daemon.round()
            await asyncio.sleep(0.05)
            watch = daemon.retention._running["w"]
            assert watch.task
            watch.requested.set()
            for _ in range(turns):
                await asyncio.sleep(0)
            watch.task.cancel()
            done, _ = await asyncio.wait([watch.task], timeout=60)
            assert done

    asyncio.run(main())


def test_nothing_is_removed_before_the_series_are_up_to_date(root: Path) -> None:
    """A new template moves checkpoints to other series: they are not pruned by the old ones."""
    write(root, "file", 5)

    async def main() -> None:
        async with running(root) as daemon:
            daemon.begin(ENFORCE, labelled=False)
            answer = await daemon.retention.prune("w", apply=True)
            assert answer["removals"] == []
            assert [hold["reason"] for hold in answer["holds"]] == ["listing_failed"]
            await asyncio.sleep(0.1)
            assert len(tree(root)) == 5
            daemon.watches["w"].labelled.set()

            def are_removed() -> bool:
                # What another process looked at during one round is removed in a later one.
                daemon.feed.emit([Change(ChangeKind.AVAILABILITY, "w")])
                return len(tree(root)) == 1

            await until(are_removed)

    asyncio.run(main())


def test_the_same_watch_begins_after_the_end_of_what_it_did_before(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that change one trash at the same time would undo each other's moves."""
    write(root, "file", 8)
    begun, gate = _pruners_that_wait(monkeypatch)
    monkeypatch.setattr(watch_retention, "_STOP_SECONDS", 0.05)

    async def main() -> None:
        async with running(root) as daemon:
            daemon.begin(ENFORCE)
            await asyncio.to_thread(begun.wait)
            with capture_logs() as logs:
                await daemon.retention.forget("w")
            assert "left behind" in logs[0]["event"]
            daemon.begin(OFF)
            asked = asyncio.create_task(daemon.retention.prune("w", apply=False))
            await asyncio.wait({asked}, timeout=0.1)
            assert not asked.done()
            assert daemon.retention.usage("w") == DiskUsage()
            gate.set()
            answer = await asked
            assert len([d for d in answer["decisions"] if not d["keep"]]) == 6
            assert len(tree(root)) == 7

    asyncio.run(main())
