"""The work queue: workers wait in it, and wake whenever there is something to take."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from checkpointd.core.checkpoint import Checkpoint, Generation, Member
from checkpointd.core.format_specs import Format
from checkpointd.daemon.fair_queue import Item
from checkpointd.daemon.work_queue import WorkQueue

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


def item(path: str, saved: int = 1, compare: str = "") -> Item:
    """One file in the watch `w`, saved at `saved` seconds."""
    member = Member("", 1, 1, 10, saved * 10**9, saved * 10**9)
    checkpoint = Checkpoint(path, Format.HDF5, watch="w", series=path)
    return Item(checkpoint, Generation((member,)), float(saved), compare=compare)


async def wakes(work: WorkQueue, change: Callable[[], None]) -> Item:
    """Let a worker wait, change something, and return what it then takes."""
    worker = asyncio.create_task(work.take())
    await asyncio.wait({worker}, timeout=0.02)
    assert not worker.done()
    change()
    async with asyncio.timeout(10):
        return await worker


def run(story: Callable[[WorkQueue], Awaitable[None]]) -> None:
    """Run a story with an empty queue."""

    async def play() -> None:
        await story(WorkQueue())

    asyncio.run(play())


def test_a_waiting_worker_wakes_for_each_kind_of_work() -> None:
    """A new save, a comparison, a path that is free again, and a watch that answers again."""

    async def story(work: WorkQueue) -> None:
        a, b = item("/a"), item("/b", compare="d")
        assert await wakes(work, lambda: work.push(a)) is a
        assert await wakes(work, lambda: work.push_background(b)) is b
        newer = item("/a", 2)
        work.push(newer)
        assert await wakes(work, lambda: work.done(a)) is newer
        work.pause(frozenset({"w"}))
        later = item("/c")
        work.push(later)
        assert await wakes(work, lambda: work.pause(frozenset())) is later
        assert sorted(work.running) == ["/a", "/b", "/c"]

    run(story)


def test_new_saves_go_before_comparisons_and_replace_them() -> None:
    """What is verified anyway need not be compared first."""

    async def story(work: WorkQueue) -> None:
        work.push_background(item("/a", compare="d"))
        work.push_background(item("/b", compare="d"))
        work.push(item("/b"))
        assert not work.is_in_background("w", "/b")
        assert len(work) == 1
        taken = [await work.take(), await work.take()]
        assert [one.checkpoint.path for one in taken] == ["/b", "/a"]

    run(story)


def test_a_path_is_busy_until_its_verification_is_done() -> None:
    """Whether it waits or is being verified."""

    async def story(work: WorkQueue) -> None:
        work.push(item("/a"))
        assert work.is_busy("w", "/a")
        taken = await work.take()
        assert work.is_busy("w", "/a")
        work.done(taken)
        assert not work.is_busy("w", "/a")

    run(story)
