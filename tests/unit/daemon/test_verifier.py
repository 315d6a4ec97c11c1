"""What becomes of verifications: overwritten, never at rest, only touched, on a disk that hangs."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.core.request import Answer, End
from checkpointd.core.suite import checks_of
from checkpointd.daemon.fair_queue import Item
from checkpointd.ledger import Ledger, State
from checkpointd.watch.events import (
    Coalesced,
    GenerationUpdate,
    Gone,
    MetadataChanged,
    Reconciled,
    SeriesChanged,
)
from tests.helpers.pipeline import CHECKPOINT, World, generation, in_world, report

if TYPE_CHECKING:
    from pathlib import Path


async def verified(world: World, saved: int = 1) -> None:
    """See a generation and find it valid."""
    world.see(saved)
    request, answer = await world.dispatcher.requests.get()
    answer.set_result(report(request))
    await world.until(lambda e: e.state is State.VALID and e.generation == generation(saved))


def test_what_was_read_whole_and_then_overwritten_keeps_its_verdict_as_history(
    tmp_path: Path,
) -> None:
    """A generation that lasted long enough to be read is reported, even if it is overwritten."""

    async def story(world: World) -> None:
        world.see(1)
        request, answer = await world.dispatcher.requests.get()
        world.see(2)
        await world.until(lambda e: e.generation == generation(2))
        answer.set_result(report(request))
        request, answer = await world.dispatcher.requests.get()
        history = await world.ledger(Ledger.history, CHECKPOINT.path)
        assert [r.generation for r in history] == [generation(1)]
        entry = await world.until(lambda e: e.generation == generation(2))
        assert (entry.state, entry.report) == (State.PENDING, None)
        answer.set_result(report(request))
        await world.until(lambda e: e.state is State.VALID)
        history = await world.ledger(Ledger.history, CHECKPOINT.path)
        assert [r.generation for r in history] == [generation(2), generation(1)]
        valid = world.metrics.registry.get_sample_value(
            "checkpointd_validations_total",
            {"watch": "w", "format": "keras", "verdict": "valid"},
        )
        assert valid == 2

    in_world(tmp_path, story)


def test_after_three_times_in_a_row_a_private_copy_is_verified(tmp_path: Path) -> None:
    """What changes faster than it can be verified is copied first, until it holds still again."""

    async def story(world: World) -> None:
        copied = []
        for saved in range(1, 6):
            world.see(saved)
            request, answer = await world.dispatcher.requests.get()
            copied.append(request.copied)
            world.see(saved + 1)
            await world.until(lambda e, s=saved: e.generation == generation(s + 1))
            answer.set_result(Answer(End.SUPERSEDED, "x"))
            request, answer = await world.dispatcher.requests.get()
            copied.append(request.copied)
            answer.set_result(report(request) if saved == 5 else Answer(End.SUPERSEDED, "x"))
        assert copied == [False, False, False, *[True] * 7]
        await world.until(lambda e: e.state is State.VALID)
        world.see(7)
        request, _ = await world.dispatcher.requests.get()
        assert not request.copied

    in_world(tmp_path, story)


def test_a_touched_checkpoint_with_the_same_content_keeps_its_verdict(tmp_path: Path) -> None:
    """A chmod or a copy that keeps times costs a digest, and no second verification."""

    async def story(world: World) -> None:
        await verified(world)
        world.inbox.post(MetadataChanged("w", CHECKPOINT.path, generation(1, inode=9)))
        request, answer = await world.dispatcher.requests.get()
        assert set(request.settings.skip) >= {"finite", "load", "predictions"}
        answer.set_result(report(request))
        entry = await world.until(lambda e: e.generation == generation(1, inode=9))
        assert entry.state is State.VALID
        assert len(await world.ledger(Ledger.history, CHECKPOINT.path)) == 1

    in_world(tmp_path, story)


def test_a_touched_checkpoint_with_other_content_is_verified_anew(tmp_path: Path) -> None:
    """Size and time can be kept by who replaces a file; its digest cannot."""

    async def story(world: World) -> None:
        await verified(world)
        world.inbox.post(MetadataChanged("w", CHECKPOINT.path, generation(1, inode=9)))
        request, answer = await world.dispatcher.requests.get()
        answer.set_result(report(request, digest="other"))
        request, answer = await world.dispatcher.requests.get()
        assert request.settings.skip == ()
        answer.set_result(report(request, digest="other"))
        await world.until(lambda e: e.report is not None and e.report.facts.digest == "other")
        assert len(await world.ledger(Ledger.history, CHECKPOINT.path)) == 2

    in_world(tmp_path, story)


def test_what_replaces_a_checkpoint_and_is_none_is_invalid_once_nobody_writes(
    tmp_path: Path,
) -> None:
    """A child reports that it is no model: what never was one stays without a verdict."""

    async def story(world: World) -> None:
        await verified(world)
        for overdue, state in ((False, State.WRITING), (True, State.INVALID)):
            world.inbox.post(
                GenerationUpdate("w", CHECKPOINT, generation(2), "settled", overdue=overdue)
            )
            request, answer = await world.dispatcher.requests.get()
            assert request.overdue == overdue
            answer.set_result(Answer(End.UNKNOWN, "A data set."))
            entry = await world.until(lambda e, s=state: e.state is s)
        assert entry.report is not None
        assert entry.report.reason == "structure.not_a_checkpoint"
        assert "was here before" in entry.report.message
        assert "A data set." in entry.report.message
        other = replace(CHECKPOINT, path="/w/data.h5")
        world.inbox.post(GenerationUpdate("w", other, generation(3), "settled", overdue=True))
        _, answer = await world.dispatcher.requests.get()
        answer.set_result(Answer(End.UNKNOWN, "A data set."))
        for _ in range(500):
            entry = await world.ledger(Ledger.entry, other.path)
            if entry is not None and entry.state is State.UNKNOWN:
                break
            await asyncio.sleep(0.01)
        assert entry is not None
        assert (entry.state, entry.report) == (State.UNKNOWN, None)

    in_world(tmp_path, story)


def test_a_comparison_waits_until_nothing_else_does(tmp_path: Path) -> None:
    """A remount that touches everything holds up no new save."""

    async def story(world: World) -> None:
        await verified(world)
        world.see(2)
        _, held = await world.dispatcher.requests.get()
        world.inbox.post(MetadataChanged("w", CHECKPOINT.path, generation(2, inode=9)))
        other = replace(CHECKPOINT, path="/w/b.keras")
        world.inbox.post(GenerationUpdate("w", other, generation(3), "settled"))
        await world.until_queued(other.path)
        held.set_result(Answer(End.UNKNOWN, "x"))
        request, _ = await world.dispatcher.requests.get()
        assert request.checkpoint.path == other.path

    in_world(tmp_path, story)


def test_a_verification_on_a_disk_that_hangs_is_abandoned_and_repeated(tmp_path: Path) -> None:
    """Other watches are verified meanwhile; when the disk answers, so is this one."""

    async def story(world: World) -> None:
        world.see(1)
        await world.dispatcher.requests.get()
        world.supervisor.set_hung(frozenset({"w"}))
        other = replace(CHECKPOINT, path="/x/b.keras", watch="x")
        world.configure({}, "x")
        world.inbox.post(GenerationUpdate("x", other, generation(3), "settled"))
        request, answer = await world.dispatcher.requests.get()
        assert request.checkpoint.watch == "x"
        answer.set_result(report(request))
        await asyncio.sleep(0.05)
        assert world.dispatcher.requests.empty()
        assert world.work.is_waiting("w", CHECKPOINT.path)
        world.supervisor.set_hung(frozenset())
        request, answer = await world.dispatcher.requests.get()
        assert request.generation == generation(1)
        answer.set_result(report(request))
        await world.until(lambda e: e.state is State.VALID)

    in_world(tmp_path, story)


def test_a_checkpoint_that_changes_its_series_keeps_its_verdict(tmp_path: Path) -> None:
    """A `checkpoint` state file or a new template moves it to another series, and reads nothing."""

    async def story(world: World) -> None:
        await verified(world)
        world.inbox.post(SeriesChanged("w", replace(CHECKPOINT, series="weights-{}", step=7)))
        entry = await world.until(lambda e: e.checkpoint.series == "weights-{}")
        assert (entry.state, entry.step) == (State.VALID, 7)
        assert entry.report is not None
        last = await world.ledger(Ledger.last_valid, "w", "weights-{}")
        assert last is not None
        assert last.path == CHECKPOINT.path
        names = [s.series for s in await world.ledger(Ledger.series)]
        assert names == ["weights-{}"]
        world.inbox.post(Gone("w", CHECKPOINT.path))
        await world.until(lambda e: e.state is State.GONE)

    in_world(tmp_path, story)


def test_a_watch_is_labelled_after_its_own_first_scan(tmp_path: Path) -> None:
    """The end of a scan from before a reload does not count: its changes of series were others."""

    async def story(world: World) -> None:
        await verified(world)
        world.watcher.reconciled_at = 20.0
        labelled = world.watches["w"].labelled
        world.inbox.post(Reconciled("w", 10.0, 0.1, 0))
        world.inbox.post(SeriesChanged("w", replace(CHECKPOINT, series="weights-{}")))
        await world.until(lambda e: e.checkpoint.series == "weights-{}")
        assert not labelled.is_set()
        world.inbox.post(SeriesChanged("w", replace(CHECKPOINT, series="others-{}")))
        world.inbox.post(Reconciled("w", 20.0, 0.1, 0))
        await labelled.wait()
        entry = await world.ledger(Ledger.entry, CHECKPOINT.path)
        assert entry is not None
        assert entry.checkpoint.series == "others-{}"

    in_world(tmp_path, story)


def test_a_flood_of_events_waits_in_the_thread_of_its_watch(tmp_path: Path) -> None:
    """Memory is bounded by what the ledger keeps up with; a watch that is stopped is let go."""

    async def story(world: World) -> None:
        loop, stall = asyncio.get_running_loop(), threading.Event()
        sent = 0

        def flood() -> None:
            nonlocal sent
            for _ in range(3000):
                world.inbox.send(Coalesced("w", CHECKPOINT.path), loop)
                sent += 1

        held = asyncio.create_task(world.ledger(lambda _: stall.wait(10)))
        world.see(1)  # its handling waits for the ledger
        flooding = asyncio.create_task(asyncio.to_thread(flood))
        before = -1
        while sent != before:  # until it waits, however busy this machine is
            before = sent
            await asyncio.wait({flooding}, timeout=0.5)
        assert not flooding.done()
        assert sent <= 1100
        stall.set()
        await held
        await flooding
        assert sent == 3000

    in_world(tmp_path, story)


def test_a_scrub_runs_no_code_of_the_user(tmp_path: Path) -> None:
    """Only a digest is needed: no check of the user, no evaluation, no TensorFlow."""

    async def story(world: World) -> None:
        verify = {"evaluate": "a:b", "checks": [{"name": "mine"}, {"name": "s", "stage": "scan"}]}
        world.configure(verify)
        item = Item(CHECKPOINT, generation(1), 0.0, compare="d", scrub=True)
        world.work.push_background(item)
        request, answer = await world.dispatcher.requests.get()
        names = (*checks_of("scan", request.settings), *checks_of("load", request.settings))
        assert set(names) - set(request.settings.skip) == {"structure", "integrity"}
        answer.set_result(report(request))

    in_world(tmp_path, story)
