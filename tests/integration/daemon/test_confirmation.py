"""What waits for a person in the daemon, and what their word sets free."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING

import pytest

from checkpointd.observe.sources import ControlError
from tests.helpers.ledger import WRITERS, record_verdict, tree
from tests.helpers.retention_daemon import ENFORCE, running, write

if TYPE_CHECKING:
    from pathlib import Path

    from tests.helpers.retention_daemon import Daemon


pytestmark = pytest.mark.usefixtures("in_a_hurry")


ASKING = ENFORCE.model_copy(update={"confirm": "changes"})


def test_a_first_enforcement_waits_for_a_person_and_goes_on_by_itself(root: Path) -> None:
    """The hold names the command, the command confirms, and a restart forgets nothing."""
    write(root, "file", 5)

    async def main() -> None:
        async with running(root) as daemon:
            daemon.begin(ASKING)
            await daemon.round()
            assert len(tree(root)) == 5
            (hold,) = daemon.retention.outcomes.holds["w"]
            assert hold.reason == "not_confirmed"
            assert "4 of 5" in hold.message
            shown = await daemon.retention.prune("w", apply=False)
            assert shown["summary"]["count"] == 4
            assert len(tree(root)) == 5
            done = await daemon.retention.prune("w", apply=True)
            assert [removal["done"] for removal in done["removals"]] == [True] * 4
            assert daemon.retention.outcomes.holds["w"] == ()
            assert "nothing" in daemon.retention.outcomes.previews["w"]
        async with running(root) as daemon:
            daemon.begin(ASKING)
            saved = WRITERS["file"](root / "ckpt-9", 2000.0)
            await daemon.ledger(record_verdict, saved)
            await daemon.round()
            assert list(tree(root)) == ["ckpt-9"]
            assert daemon.retention.outcomes.holds["w"] == ()

    asyncio.run(main())


def test_a_policy_that_was_there_before_the_job_is_carried_out(root: Path) -> None:
    """Nobody has to confirm anything for an empty directory."""

    async def main() -> None:
        async with running(root) as daemon:
            daemon.begin(ASKING)
            await daemon.round()
            for number in range(3):
                saved = WRITERS["file"](root / f"ckpt-{number}", 1000.0 + number)
                await daemon.ledger(record_verdict, saved)
                await daemon.round()
            assert list(tree(root)) == ["ckpt-2"]

    asyncio.run(main())


def test_nothing_is_taken_for_new_before_the_watch_is_listed(root: Path) -> None:
    """What a first listing has found and the ledger does not have yet was there before."""

    async def main() -> None:
        async with running(root) as daemon:
            daemon.begin(ASKING, labelled=False)
            await daemon.retention.prune("w", apply=False)
            for number in range(3):
                saved = WRITERS["file"](root / f"ckpt-{number}", 1000.0 + number)
                await daemon.ledger(record_verdict, saved)
            daemon.watches["w"].labelled.set()
            await daemon.round()
            assert len(tree(root)) == 3
            assert [hold.reason for hold in daemon.retention.outcomes.holds["w"]] == [
                "not_confirmed"
            ]

    asyncio.run(main())


def test_much_that_was_not_shown_is_not_carried_out(root: Path) -> None:
    """A plan that has grown since is looked at again first."""
    write(root, "file", 3)
    policy = ASKING.model_copy(update={"max_removals": 2})

    async def main() -> None:
        async with running(root) as daemon:
            daemon.begin(policy)
            await daemon.round()
            await daemon.retention.prune("w", apply=False)
            for number in range(3, 6):
                saved = WRITERS["file"](root / f"ckpt-{number}", 1000.0 + number)
                await daemon.ledger(record_verdict, saved)
            with pytest.raises(ControlError, match="5 would be removed now, 3 of them not shown"):
                await daemon.retention.prune("w", apply=True)
            assert len(tree(root)) == 6
            await daemon.retention.prune("w", apply=False)
            await daemon.retention.prune("w", apply=True)
            assert list(tree(root)) == ["ckpt-5"]

    asyncio.run(main())


def test_a_person_is_asked_once_for_a_run_also_after_a_restart(root: Path) -> None:
    """What was the newest by number when the run was dropped goes later without a question."""
    policy = ASKING.model_copy(update={"keep_last": 2, "keep_runs": 1})

    async def save(daemon: Daemon, *steps: int) -> None:
        for step in steps:
            checkpoint, generation = WRITERS["file"](root / f"ckpt-{step}", next(times))
            checkpoint = replace(checkpoint, version=str(step), step=step)
            await daemon.ledger(record_verdict, (checkpoint, generation))
        await daemon.round()

    times = count(1000.0)

    async def main() -> None:
        async with running(root) as daemon:
            daemon.begin(policy)
            await daemon.round()
            await save(daemon, 7, 8, 9)
            await save(daemon, 1, 2)
            (hold,) = daemon.retention.outcomes.holds["w"]
            assert hold.reason == "older_runs"
            assert set(tree(root)) == {"ckpt-8", "ckpt-9", "ckpt-1", "ckpt-2"}
            await daemon.retention.prune("w", apply=True)
            assert set(tree(root)) == {"ckpt-9", "ckpt-1", "ckpt-2"}
        async with running(root) as daemon:
            daemon.begin(policy)
            await save(daemon, 10)
            assert daemon.retention.outcomes.holds["w"] == ()
            assert set(tree(root)) == {"ckpt-2", "ckpt-10"}
            await save(daemon, 3, 4)
            (hold,) = daemon.retention.outcomes.holds["w"]
            assert hold.reason == "older_runs"

    asyncio.run(main())
