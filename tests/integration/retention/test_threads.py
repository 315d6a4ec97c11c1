"""The thread that touches a watch's disk: nothing waits for one that hangs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from checkpointd.daemon.threads import DiskThread

if TYPE_CHECKING:
    from collections.abc import Callable

_HANG = """
import asyncio, threading
from checkpointd.daemon.threads import DiskThread

async def main():
    disk = DiskThread("w")
    begun = threading.Event()
    def hang():
        begun.set()
        threading.Event().wait()
    task = asyncio.create_task(disk(hang))
    while not begun.is_set():
        await asyncio.sleep(0.01)
    task.cancel()
    disk.close()

asyncio.run(main())
print("over", flush=True)
"""


def blocked(done: list[str]) -> tuple[threading.Event, threading.Event, Callable[[], None]]:
    """A call that waits: an event that it sets, one that it waits for, and the call."""
    begun, gate = threading.Event(), threading.Event()

    def wait() -> None:
        begun.set()
        gate.wait()
        done.append("first")

    return begun, gate, wait


def test_a_hung_disk_does_not_keep_the_process_alive() -> None:
    """Else systemd would have to kill the daemon of a hung NFS mount."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _HANG],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "over\n", "")


def _fail() -> None:
    raise KeyError("x")


def test_calls_are_made_one_after_the_other_and_give_what_they_give() -> None:
    """Results and exceptions reach the caller; an exception does not end the thread."""

    async def main() -> None:
        disk = DiskThread("w")
        names = await asyncio.gather(*(disk(threading.current_thread) for _ in range(3)))
        assert {t.name for t in names} == {"disk-w"}
        assert len(set(names)) == 1
        with pytest.raises(KeyError):
            await disk(_fail)
        assert await disk(divmod, 7, 2) == (3, 1)
        disk.close()
        disk.close()
        await disk.ended()
        with pytest.raises(OSError, match="being stopped"):
            await disk(divmod, 7, 2)

    asyncio.run(main())


def test_a_cancelled_caller_does_not_hold_up_the_others() -> None:
    """A call that has not begun is taken back, one that has begun goes on to its end."""

    async def main() -> None:
        disk, done = DiskThread("w"), list[str]()
        begun, gate, wait = blocked(done)
        first = asyncio.create_task(disk(wait))
        second = asyncio.create_task(disk(done.append, "second"))
        third = asyncio.create_task(disk(done.append, "third"))
        await asyncio.to_thread(begun.wait)
        first.cancel()
        second.cancel()
        await asyncio.gather(first, second, return_exceptions=True)
        gate.set()
        await third
        assert done == ["first", "third"]
        disk.close()
        await disk.ended()

    asyncio.run(main())


def test_a_closed_thread_begins_nothing_more_and_reports_its_end() -> None:
    """What waits in the queue fails at once after what runs, and nobody waits for ever."""

    async def main() -> None:
        disk, done = DiskThread("w"), list[str]()
        begun, gate, wait = blocked(done)
        calls = [asyncio.create_task(disk(wait)), asyncio.create_task(disk(done.append, "second"))]
        await asyncio.to_thread(begun.wait)
        disk.close()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await disk.ended()
        gate.set()
        await disk.ended()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert done == ["first"]
        assert isinstance(results[1], OSError)

    asyncio.run(main())
