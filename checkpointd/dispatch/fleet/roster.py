"""The workers of the fleet as the daemon knows them, what each has to do, and who waits for one."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from checkpointd.dispatch.fleet.placement import Load, Tried, capacity, choose, memory_needed

if TYPE_CHECKING:
    from collections.abc import Collection

    from checkpointd.dispatch.fleet.messages import Member

_OTHER_SECONDS = 30.0
"""How long a second try waits for another worker, where only the first one is there."""


class Roster:
    """Hands out places on workers; must be used from one event loop."""

    def __init__(self) -> None:
        self.members: dict[str, Member] = {}
        self._loads: dict[str, Load] = {}
        self._changed = asyncio.Event()

    @property
    def capacity(self) -> int:
        """How many checkpoints may be handed out at a time."""
        return capacity(self.members.values())

    @property
    def hosts(self) -> Collection[str]:
        """The hosts of the workers."""
        return {member.host for member in self.members.values()}

    def replace(self, members: Collection[Member]) -> set[str]:
        """Take who is there now; return the ids of those that are gone."""
        by_id = {member.id: member for member in members}
        gone = self.members.keys() - by_id.keys()
        if by_id != self.members:
            self.members = by_id
            self._wake()
        return set(gone)

    async def place(self, size: int, tried: Tried) -> tuple[Member, int]:
        """Wait for a place on a worker, and take it until `free` is called.

        Args:
            size: bytes of the checkpoint.
            tried: where it was tried before.

        Returns:
            The worker, and the bytes of its memory that are set aside.
        """
        began = time.monotonic()
        while True:
            waited = time.monotonic() - began
            member = choose(
                self.members, self._loads, size, tried, any_worker=waited >= _OTHER_SECONDS
            )
            if member is not None:
                memory = memory_needed(size, member)
                load = self._loads.setdefault(member.id, Load())
                load.count += 1
                load.memory += memory
                return member, memory
            changed = self._changed
            try:
                async with asyncio.timeout(_OTHER_SECONDS if tried.members else None):
                    await changed.wait()
            except TimeoutError:
                continue

    def free(self, member: Member, memory: int) -> None:
        """Give a place back."""
        load = self._loads[member.id]
        load.count -= 1
        load.memory -= memory
        if not load.count:
            del self._loads[member.id]
        self._wake()

    def _wake(self) -> None:
        """Wake all who wait; those who come later wait for the next change."""
        self._changed.set()
        self._changed = asyncio.Event()
