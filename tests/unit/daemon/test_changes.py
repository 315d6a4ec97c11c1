"""The change feed: a follower of the ledger hears of every write, and before its writer does."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest

from checkpointd.daemon.changes import ChangeFeed
from checkpointd.daemon.threads import LedgerThread
from checkpointd.ledger import Change, ChangeKind, Ledger, LedgerError, State
from tests.helpers.verdicts import CHECKPOINT, GENERATION

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Story = Callable[[LedgerThread, ChangeFeed], Awaitable[None]]


def with_feed(directory: Path, story: Story) -> None:
    """Run a story with a real ledger that feeds a change feed."""

    async def run() -> None:
        feed = ChangeFeed()
        ledger = LedgerThread(feed.emit)
        await ledger.open(directory)
        try:
            await story(ledger, feed)
        finally:
            await ledger.close()

    asyncio.run(run())


def test_a_subscriber_receives_the_kinds_that_it_asked_for() -> None:
    """In the order in which they happened."""
    feed, some, all_ = ChangeFeed(), list[Change](), list[Change]()
    feed.subscribe(some.append, {ChangeKind.GONE, ChangeKind.PINS})
    feed.subscribe(all_.append)
    changes = [Change(kind, "w") for kind in ChangeKind]
    feed.emit(changes)
    assert all_ == changes
    assert [change.kind for change in some] == [ChangeKind.GONE, ChangeKind.PINS]


def test_subscribers_know_of_a_write_before_its_writer_goes_on(tmp_path: Path) -> None:
    """From the loop and from a thread; nobody has to notify anybody."""

    async def story(ledger: LedgerThread, feed: ChangeFeed) -> None:
        received: list[ChangeKind] = []
        feed.subscribe(lambda change: received.append(change.kind))
        await ledger(Ledger.record_seen, CHECKPOINT, GENERATION, State.PENDING, "")
        assert received == [ChangeKind.SEEN]
        await asyncio.to_thread(
            ledger.wait, Ledger.record_trashed, CHECKPOINT.path, rule="r", reason="x", item="i"
        )
        assert received == [ChangeKind.SEEN, ChangeKind.TRASHED]
        await ledger(Ledger.entry, CHECKPOINT.path)
        assert len(received) == 2

    with_feed(tmp_path, story)


def test_a_writer_that_is_cancelled_still_notifies(tmp_path: Path) -> None:
    """Its write goes on in the ledger's thread, and others must know what it changed."""

    async def story(ledger: LedgerThread, feed: ChangeFeed) -> None:
        received, begun, go_on = asyncio.Event(), threading.Event(), threading.Event()
        feed.subscribe(lambda _change: received.set(), {ChangeKind.PINS})

        def write(opened: Ledger) -> None:
            begun.set()
            go_on.wait(10)
            opened.pin("/a")

        writing = asyncio.create_task(ledger(write))
        await asyncio.to_thread(begun.wait, 10)
        writing.cancel()
        go_on.set()
        async with asyncio.timeout(10):
            await received.wait()

    with_feed(tmp_path, story)


def test_what_was_written_before_a_failure_is_passed_on(tmp_path: Path) -> None:
    """A call may write twice and fail the second time."""

    async def story(ledger: LedgerThread, feed: ChangeFeed) -> None:
        received: list[Change] = []
        feed.subscribe(received.append)

        def write_and_fail(opened: Ledger) -> None:
            opened.pin("/a")
            raise LedgerError("the disk is full")

        with pytest.raises(LedgerError):
            await ledger(write_and_fail)
        assert received == [Change(ChangeKind.PINS, "")]

    with_feed(tmp_path, story)
