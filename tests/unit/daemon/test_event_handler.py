"""From events to verdicts: every order in which the world can change meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.checkpoint import Checkpoint
from checkpointd.core.format_specs import Format
from checkpointd.core.report import Facts
from checkpointd.core.request import Answer, End
from checkpointd.core.verdict import Verdict
from checkpointd.ledger import Ledger, State
from checkpointd.watch.events import GenerationUpdate, Gone
from tests.helpers.pipeline import CHECKPOINT, World, generation, in_world, report

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("end", [End.DONE, End.INCOMPLETE, End.UNKNOWN, End.SUPERSEDED])
def test_whatever_came_of_an_older_content_the_newer_one_gets_its_verdict(
    tmp_path: Path, end: End
) -> None:
    """Overwritten while it is verified: the older one's end does not touch the newer one."""

    async def story(world: World) -> None:
        world.see(1)
        request, answer = await world.dispatcher.requests.get()
        world.see(2)
        await world.until(lambda e: e.generation.key == generation(2).key)
        answer.set_result(report(request) if end is End.DONE else Answer(end, "x"))
        request, answer = await world.dispatcher.requests.get()
        assert request.generation == generation(2)
        entry = await world.ledger(Ledger.entry, CHECKPOINT.path)
        assert entry is not None
        assert (entry.state, entry.generation) == (State.PENDING, generation(2))
        answer.set_result(report(request))
        entry = await world.until(lambda e: e.state is State.VALID)
        assert entry.generation == generation(2)

    in_world(tmp_path, story)


@pytest.mark.parametrize("end", [End.DONE, End.INCOMPLETE, End.UNKNOWN, End.SUPERSEDED])
def test_what_is_deleted_while_it_is_verified_stays_deleted(tmp_path: Path, end: End) -> None:
    """No ghost comes back into the ledger, whatever the verification came to."""

    async def story(world: World) -> None:
        world.see(1)
        request, answer = await world.dispatcher.requests.get()
        world.inbox.post(Gone("w", CHECKPOINT.path))
        await world.until(lambda e: e.state is State.GONE)
        answer.set_result(report(request) if end is End.DONE else Answer(end, "x"))
        for _ in range(1000):
            if not world.work.running:
                break
            await asyncio.sleep(0.005)
        entry = await world.ledger(Ledger.entry, CHECKPOINT.path)
        assert entry is not None
        assert entry.state is State.GONE

    in_world(tmp_path, story)


def test_a_fault_of_ours_in_one_verification_does_not_end_the_next(tmp_path: Path) -> None:
    """The daemon goes on, and the checkpoint is tried again later."""

    async def story(world: World) -> None:
        world.see(1)
        _, answer = await world.dispatcher.requests.get()
        answer.set_exception(RuntimeError("nobody expected this"))
        world.see(2)
        request, answer = await world.dispatcher.requests.get()
        answer.set_result(report(request))
        await world.until(lambda e: e.state is State.VALID)

    in_world(tmp_path, story)


def test_one_that_never_holds_still_is_asked_for_less_and_less(tmp_path: Path) -> None:
    """Superseded again and again, the same content is not verified in a hot loop."""

    async def story(world: World) -> None:
        for _ in range(3):
            world.see(1)
            _, answer = await world.dispatcher.requests.get()
            answer.set_result(Answer(End.SUPERSEDED, "x"))
            await world.until(lambda e: e.state is State.SUPERSEDED)
        await asyncio.sleep(0.05)
        asked = len(world.watcher.asked)
        assert asked == 3
        world.see(1)
        _, answer = await world.dispatcher.requests.get()
        answer.set_result(Answer(End.SUPERSEDED, "x"))
        await world.until(lambda e: e.state is State.SUPERSEDED)
        await asyncio.sleep(0.2)
        assert len(world.watcher.asked) == asked

    in_world(tmp_path, story)


def test_a_transient_error_is_tried_again_after_a_restart(tmp_path: Path) -> None:
    """An out_of_memory verdict is nobody's last word; a NaN is."""

    async def story(world: World) -> None:
        for reason, again in (("load.out_of_memory", 1), ("load.unknown_object", 0)):
            world.see(1)
            request, answer = await world.dispatcher.requests.get()
            answer.set_result(report(request, Verdict.INCONCLUSIVE, reason))
            await world.until(lambda e, r=reason: e.report is not None and e.report.reason == r)
            assert await world.outdated() == again

    in_world(tmp_path, story)


def test_the_next_one_is_given_what_the_last_valid_one_was_and_the_best(tmp_path: Path) -> None:
    """The step, the facts, and of each bounded metric the best, whichever way it is better."""

    async def story(world: World) -> None:
        verify = {
            "evaluate": "a:b",
            "bounds": {"accuracy": {"within_of_best": 0.1}, "loss": {"within_of_best": 0.1}},
        }
        asked = world.configure(verify)
        by = asked.verify.to_settings().evaluate.digest
        found = []
        for step in (1, 2, 3):
            path = f"/w/ckpt-{step}"
            checkpoint = Checkpoint(path, Format.KERAS, "w", "ckpt-{}", str(step), step)
            world.inbox.post(GenerationUpdate("w", checkpoint, generation(step), "settled"))
            request, answer = await world.dispatcher.requests.get()
            found.append(request)
            made = report(request)
            assert made.report is not None
            values = {"accuracy": 0.5 / step, "loss": 0.5 / step}
            facts = Facts(format=Format.KERAS, evaluation=values, evaluated_by=by)
            answer.set_result(replace(made, report=replace(made.report, facts=facts)))
            for _ in range(1000):
                entry = await world.ledger(Ledger.entry, path)
                if entry is not None and entry.state is State.VALID:
                    break
                await asyncio.sleep(0.005)
        assert (found[0].previous, found[0].best) == (None, {})
        assert found[2].previous is not None
        assert (found[2].previous.path, found[2].previous.step) == ("/w/ckpt-2", 2)
        assert found[2].best == {"accuracy": 0.5, "loss": 0.25}

    in_world(tmp_path, story)


def test_what_a_user_mends_in_code_is_verified_again_and_a_word_of_their_own_is_no_error_of_ours(
    tmp_path: Path,
) -> None:
    """No settings change when a function or its data does."""

    async def story(world: World) -> None:
        for reason, again in (
            ("evaluate.evaluate_error", 1),
            ("mine.check_error", 1),
            ("mine.timeout", 1),
            ("mine.bad_environment", 0),
        ):
            world.see(1)
            request, answer = await world.dispatcher.requests.get()
            answer.set_result(report(request, Verdict.INCONCLUSIVE, reason))
            await world.until(lambda e, r=reason: e.report is not None and e.report.reason == r)
            assert await world.outdated() == again

    in_world(tmp_path, story)
