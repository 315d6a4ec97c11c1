"""What the control socket's commands answer where all does not go well: a real ledger and disk."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import pytest

from checkpointd.daemon import controls as controls_module
from checkpointd.daemon.controls import Controls
from checkpointd.daemon.threads import LedgerThread
from checkpointd.daemon.work_queue import WorkQueue
from checkpointd.ledger import Ledger, State
from checkpointd.observe.sources import ControlError
from checkpointd.watch.scan import find_checkpoints
from tests.helpers.cli import World
from tests.helpers.observe import report

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from checkpointd.daemon.fair_queue import Item

    Verified = Callable[[LedgerThread, Item], Awaitable[None]]


class Work(WorkQueue):
    """Takes an item and at once writes to the ledger what the test defines as the outcome."""

    def __init__(self, ledger: LedgerThread, verified: Verified) -> None:
        super().__init__()
        self._ledger = ledger
        self._verified = verified
        self.task: asyncio.Task[None] | None = None

    def push(self, item: Item) -> None:
        """Verify it, in the test's way."""
        super().push(item)
        self.task = asyncio.ensure_future(self._verify())

    async def _verify(self) -> None:
        item = await self.take()
        await self._verified(self._ledger, item)
        self.done(item)


async def _nothing(_ledger: LedgerThread, _item: Item) -> None:
    """Leave it as it is."""


def ask(
    world: World,
    use: Callable[[Controls], Awaitable[dict[str, Any]]],
    verified: Verified = _nothing,
) -> dict[str, Any]:
    """Open the world's ledger as a daemon does and ask its controls."""

    async def run() -> dict[str, Any]:
        ledger = LedgerThread()
        await ledger.open(world.state)
        controls = Controls(
            reload=cast("Any", None),
            retention=cast("Any", None),
            watches=(),
            ledger=ledger,
            work=Work(ledger, verified),
            timeout=20.0,
            compare=cast("Any", None),
            retry_hooks=cast("Any", None),
        )
        try:
            return await use(controls)
        finally:
            await ledger.close()

    return asyncio.run(run())


def refused(
    world: World,
    use: Callable[[Controls], Awaitable[dict[str, Any]]],
    verified: Verified = _nothing,
) -> tuple[int, str]:
    """The status and the sentence of a refusal."""
    with pytest.raises(ControlError) as caught:
        ask(world, use, verified)
    return caught.value.status, str(caught.value)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A watch with a ledger that knows `m.h5`."""
    (tmp_path / "state").mkdir()
    made = World(tmp_path)
    path = made.put("m.h5")
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(88))
    return made


def becomes(state: State, message: str = "") -> Verified:
    """Verifying ends in a state without a report."""

    async def verified(ledger: LedgerThread, item: Item) -> None:
        await ledger(Ledger.record_seen, item.checkpoint, item.generation, state, message)

    return verified


@pytest.mark.parametrize(
    ("state", "message", "status", "sentence"),
    [
        (State.UNKNOWN, "no layers.", 415, "knows (no layers)."),
        (State.UNKNOWN, "", 415, "is no checkpoint that checkpointd knows."),
        (State.WRITING, "", 409, "is still being written; `checkpointd wait`"),
        (State.SUPERSEDED, "", 409, "changed while it was verified; the daemon"),
        (State.PENDING, "", 409, "has no verdict yet, it is verified again later"),
        (State.GONE, "", 404, "was removed while it was verified."),
    ],
)
def test_each_end_without_a_verdict_has_its_message(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    state: State,
    message: str,
    status: int,
    sentence: str,
) -> None:
    """Each end of a verification has a message and a status."""
    monkeypatch.setattr(controls_module, "_TORN_SECONDS", 0.2)
    path = str(world.runs / "m.h5")
    found, answer = refused(world, lambda c: c.verify(path), becomes(state, message))
    assert (found, answer.startswith(path)) == (status, True)
    assert sentence in answer


def test_what_is_torn_gets_the_verdict_that_its_watch_gives(world: World) -> None:
    """A child takes it for being written; its watch finds that nobody writes to it."""
    path = str(world.runs / "m.h5")

    async def verified(ledger: LedgerThread, item: Item) -> None:
        await ledger(Ledger.record_seen, item.checkpoint, item.generation, State.WRITING)

        async def torn() -> None:
            await asyncio.sleep(0.5)
            about = replace(
                report(), checkpoint=item.checkpoint, generation=item.generation, settings_digest=""
            )
            await ledger(Ledger.record_report, about)

        tasks.append(asyncio.ensure_future(torn()))

    tasks: list[asyncio.Task[None]] = []
    answer = ask(world, lambda c: c.verify(path), verified)
    assert (answer["path"], answer["verdict"]) == (path, "valid")


def test_a_path_that_is_gone_is_not_found(world: World) -> None:
    """Never a fault of ours: 404 where nothing is left."""
    path = world.runs / "m.h5"
    path.unlink()
    status, message = refused(world, lambda c: c.verify(str(path)))
    assert (status, message) == (404, f"{path} is no checkpoint any more.")


def test_a_disk_that_hangs_is_reported_after_a_while(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client gets a sentence, and a daemon that stops then does not wait for the disk."""
    answers = threading.Event()
    began = time.monotonic()

    def hung(*asked: Any) -> Any:
        answers.wait(300)
        return find_checkpoints(*asked)

    monkeypatch.setattr(controls_module, "_DISK_SECONDS", 0.1)
    monkeypatch.setattr(controls_module, "find_checkpoints", hung)
    status, message = refused(world, lambda c: c.verify(str(world.runs / "m.h5")))
    answers.set()
    assert status == 503
    assert "The disk has not answered about" in message
    assert time.monotonic() - began < 100


@pytest.mark.parametrize("command", ["verify", "pin"])
def test_a_ledger_that_cannot_be_read_is_reported_to_the_client(world: World, command: str) -> None:
    """503 with the ledger's message."""
    path = str(world.runs / "m.h5")

    async def use(controls: Controls) -> dict[str, Any]:
        with contextlib.closing(sqlite3.connect(world.state / "ledger.sqlite")) as ledger:
            ledger.execute("UPDATE checkpoints SET generation = '{'")
            ledger.commit()
        return await (controls.pin(path, "") if command == "pin" else controls.verify(path))

    status, message = refused(world, use)
    assert status == 503
    assert message.startswith("The ledger's row")
