"""A lock that many hold together, or one alone."""

from __future__ import annotations

import asyncio

from checkpointd.dispatch.shared_lock import SharedLock


def test_an_exclusive_holder_waits_for_the_others_and_they_for_it() -> None:
    """No child runs beside one that runs again; afterwards all continue."""
    running: set[str] = set()
    seen: list[set[str]] = []

    async def child(lock: SharedLock, name: str, *, exclusive: bool) -> None:
        async with lock.exclusive() if exclusive else lock.shared():
            running.add(name)
            seen.append(set(running))
            try:
                await asyncio.sleep(0.01)
            finally:
                running.discard(name)

    async def work() -> None:
        lock = SharedLock()
        cancelled = asyncio.create_task(child(lock, "gone", exclusive=True))
        names = [("a", False), ("b", False), ("c", True), ("d", False), ("e", True), ("f", False)]
        tasks = [
            asyncio.create_task(child(lock, name, exclusive=exclusive)) for name, exclusive in names
        ]
        await asyncio.sleep(0)
        cancelled.cancel()
        async with asyncio.timeout(60):
            await asyncio.gather(*tasks)

    asyncio.run(work())
    for beside in seen:
        assert not beside & {"c", "e"} or len(beside) == 1
    assert set().union(*seen) >= set("abcdef")
