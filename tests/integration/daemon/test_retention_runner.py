"""Retention as the daemon does it: real disk, real ledger; only the watches are played."""

from __future__ import annotations

import asyncio
import os
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from checkpointd.config import RetentionSettings
from checkpointd.daemon import disk_meter, plan_times, retention_runner, watch_retention
from checkpointd.ledger import Ledger
from checkpointd.retention import Pruner, Trash, plan
from checkpointd.retention.trash import Disk
from tests.helpers.ledger import WRITERS, record_verdict, tree
from tests.helpers.retention_daemon import ENFORCE, running, until, write

if TYPE_CHECKING:
    from pathlib import Path

DRY = ENFORCE.model_copy(update={"mode": "dry-run"})
OFF = ENFORCE.model_copy(update={"mode": "off"})


pytestmark = pytest.mark.usefixtures("in_a_hurry")


def _die_pruning(root: Path) -> None:
    """Prune in a child that ends, as if killed, between the first two moves."""
    child = os.fork()
    if child == 0:
        moves = iter(range(10))

        def die(step: str) -> None:
            if step == "move" and next(moves) == 1:
                os._exit(9)

        try:
            ledger = Ledger.open(root.parent / "state")
            made = plan(ledger.entries("w"), ENFORCE, time.time())
            Pruner(str(root), ledger, on_step=die).apply(made)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9


def test_a_half_done_pruning_is_brought_to_its_end_in_any_mode(root: Path) -> None:
    """With mode = "off" as well, or half a checkpoint would stay for ever."""
    write(root, "prefix", 3)
    _die_pruning(root)
    assert "ckpt-0.data-00000-of-00002" in tree(root)

    async def main() -> None:
        async with running(root) as daemon:
            daemon.begin(OFF)
            await daemon.round()
            assert not [name for name in tree(root) if name.startswith("ckpt-0")]
            assert len(Trash(str(root)).items()) == 1

    asyncio.run(main())


def test_what_is_too_young_is_planned_again_when_it_is_not(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although nothing changes meanwhile that would bring another plan."""
    monkeypatch.setattr(retention_runner, "ROUND_SECONDS", 0.05)
    monkeypatch.setattr(plan_times, "ROUND_SECONDS", 0.05)
    monkeypatch.setattr(retention_runner, "_SPACE_SECONDS", 0.05)
    write(root, "file", 4)
    young = ENFORCE.model_copy(update={"min_age": 1.0})

    async def main() -> None:
        async with running(root) as daemon:
            daemon.begin(young)
            await daemon.round()
            for _ in range(200):
                if len(tree(root)) == 1:
                    return
                await asyncio.sleep(0.05)
            pytest.fail(f"nothing was removed in 10 s: {sorted(tree(root))}")

    asyncio.run(main())


def test_what_is_free_is_known_between_the_rounds_in_any_mode(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills within seconds is a problem at once, and none any more when it is emptied.

    Where nothing is pruned, the message says that a full disk cannot take the trash.
    """
    monkeypatch.setattr(retention_runner, "_SPACE_SECONDS", 0.02)
    monkeypatch.setattr(plan_times, "_PAUSE_SECONDS", 0.02)
    disks = [Disk(10**9, 9 * 10**8)]
    monkeypatch.setattr(disk_meter, "disk_of", lambda _: disks[-1])
    write(root, "file", 4)

    async def main() -> None:
        async with running(root) as daemon:
            daemon.begin(RetentionSettings(keep_last=1, mode="dry-run"))
            await daemon.round()
            assert daemon.retention.disk_problems() == [""]
            for free, is_tight in ((1000, True), (8 * 10**8, False)):
                disks.append(Disk(10**9, free))
                for _ in range(200):
                    if bool(daemon.retention.disk_problems()[0]) is is_tight:
                        break
                    await asyncio.sleep(0.02)
                usage = daemon.retention.usage("w")
                assert (usage.available, usage.filesystem.next_saves_fit) == (free, not is_tight)
                assert (usage.next_save or 0) > 0
                assert ("decide before it is" in usage.problem) is is_tight

    asyncio.run(main())
    assert not (root / ".checkpointd-trash").exists()


def test_the_preview_of_a_directory_that_is_missing_is_answered_at_once(root: Path) -> None:
    """And one that is not listed yet is waited for."""
    write(root, "file", 4)

    async def main() -> None:
        async with running(root) as daemon:
            daemon.begin(RetentionSettings(keep_last=1, mode="dry-run"), labelled=False)
            daemon.status.up, daemon.status.message = False, "There is no directory here."
            async with asyncio.timeout(5):
                answer = await daemon.retention.preview("w")
            assert answer == "Not known: There is no directory here."
            daemon.status.begins = True
            asyncio.get_running_loop().call_later(0.2, daemon.watches["w"].labelled.set)
            daemon.status.up = True
            assert "2 of 4" in await daemon.retention.preview("w")

    asyncio.run(main())


def test_what_a_crash_left_half_done_can_be_restored_at_once(root: Path) -> None:
    """Before the watch has been listed, and before any round."""
    write(root, "prefix", 3)
    before = tree(root)
    _die_pruning(root)

    async def main() -> None:
        async with running(root) as daemon:
            daemon.status.ready = False
            daemon.begin(OFF)
            await daemon.retention.restore(str(root / "ckpt-0"))
            assert tree(root) == before

    asyncio.run(main())


def test_what_was_not_evaluated_is_queued_behind_new_saves(root: Path) -> None:
    """`evaluate` is new: nothing is pruned, and one checkpoint shows what it computes."""
    write(root, "file", 4)
    best = [{"n": 1, "metric": "accuracy", "mode": "max"}]
    policy = RetentionSettings(keep_best=best, min_age="1ms", mode="enforce")

    async def main() -> None:
        async with running(root) as daemon:
            daemon.begin(policy, evaluate={"function": "m:f"})
            await daemon.round()
            newest = str(root / "ckpt-3")
            assert (daemon.pruned, len(daemon.work)) == ([], 0)
            assert daemon.work.is_in_background("w", newest)
            assert not daemon.work.is_in_background("w", str(root / "ckpt-2"))
            assert [hold.reason for hold in daemon.retention.outcomes.holds["w"]] == ["unevaluated"]

    asyncio.run(main())


def test_a_fault_of_our_own_ends_no_watch_retention(root: Path) -> None:
    """It is logged with its traceback, and the next round follows."""

    async def main() -> None:
        async with running(root) as daemon:
            daemon.fault = ZeroDivisionError("x")
            with capture_logs() as logs:
                daemon.begin(OFF)
                await until(lambda: logs)
            assert logs[0]["event"].startswith("retention failed because of a bug in checkpointd")
            assert logs[0]["exc_info"]
            daemon.fault = None
            await daemon.round()

    asyncio.run(main())


def test_a_suspect_is_verified_again_once(root: Path) -> None:
    """Each generation once, however often it is planned; a new one can be suspect again."""
    write(root, "file", 3)
    newest = root / "ckpt-2"
    newest.write_bytes(b"garbage")

    async def main() -> None:
        async with running(root) as daemon:
            daemon.begin(DRY)
            await daemon.round()
            await daemon.round()
            assert daemon.asked == [str(newest)]
            saved = WRITERS["file"](newest, 2000.0)
            await daemon.ledger(record_verdict, saved)
            await daemon.round()
            newest.write_bytes(b"garbage again")
            await daemon.round()
            await daemon.round()
            assert daemon.asked == [str(newest), str(newest)]

    asyncio.run(main())


def test_what_is_deleted_from_the_trash_is_logged_with_the_reason(root: Path) -> None:
    """An item that is gone for good can be explained by the log."""
    write(root, "file", 2)
    policy = ENFORCE.model_copy(update={"trash_ttl": 0.0})

    async def main() -> None:
        async with running(root) as daemon:
            with capture_logs() as logs:
                daemon.begin(policy)
                await daemon.round()
            (event,) = (e for e in logs if e["event"] == "deleted from the trash")
            assert event["path"] == str(root / "ckpt-0")
            assert "longer than trash_ttl" in event["reason"]

    asyncio.run(main())


def test_a_plan_follows_soon_after_a_round_that_took_long(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pause is for what plans cost, not for what removals waited for."""
    write(root, "file", 3)
    slow = partial(Pruner, on_step=lambda step: time.sleep(0.5) if step == "move" else None)
    monkeypatch.setattr(watch_retention, "Pruner", slow)

    async def main() -> None:
        async with running(root) as daemon:
            daemon.begin(ENFORCE)
            await daemon.round()
            began = time.monotonic()
            await daemon.round()
            assert time.monotonic() - began < 5

    asyncio.run(main())


def test_a_failure_counts_and_is_logged_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line for a cause, with how many it concerns, however many rounds meet it."""
    write(root, "file", 5)
    failed: list[str] = []

    def refuse(_: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(watch_retention, "Pruner", partial(Pruner, on_step=refuse))

    async def main() -> None:
        async with running(root) as daemon:
            monkeypatch.setattr(daemon.retention.outcomes.failures, "_count", failed.append)
            with capture_logs() as logs:
                daemon.begin(ENFORCE)
                await daemon.round()
                await daemon.round()
            (line,) = (e for e in logs if e["event"] == "not pruned")
            assert (line["watch"], line["count"]) == ("w", 4)
            assert "permission denied" in line["reason"]
            assert failed == ["w"] * 4

    asyncio.run(main())
