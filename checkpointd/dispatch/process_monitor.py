"""What memory a child holds: looked at while it runs, and ended when that is too much.

The kernel's own limit (RLIMIT_DATA) counts what is only mapped, not what is shared, and a request
that it refuses ends a library in any way at all. A child that is ended for what it really holds
leaves no doubt why.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from checkpointd.core import memory_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.worker.protocol import Limits

_BYTES_PER_SECOND = 16 << 30
"""No process fills memory faster: the nearer it is to its limit, the sooner it is looked at."""

_OFTEN_SECONDS = 0.01
_SELDOM_SECONDS = 0.2


class OverdrawnError(Exception):
    """A child took too much, or too little of the disk is left; the text is a clause."""


class HeldError(OverdrawnError):
    """A child holds more memory than it may."""


@dataclass
class Held:
    """The most that a child was seen to hold: in memory, and mapped (VmData); bytes."""

    memory: int = 0
    data: int = 0


class Watched:
    """What the kernel tells of a child.

    Args:
        descriptors: of its /proc/PID/status, opened while that could be seen; or none.
        limits: of the child.
        held: noted there.
    """

    def __init__(self, descriptors: Sequence[int], limits: Limits, held: Held) -> None:
        self._status = descriptors[0] if descriptors else -1
        self._limits = limits
        self._held = held

    def threads(self) -> int:
        """How many threads it has; 0 where that cannot be seen."""
        return next((int(line[8:]) for line in self._lines() if line.startswith("Threads:")), 0)

    async def watch(self) -> NoReturn:
        """Look at what it holds for as long as it lives.

        Raises:
            HeldError: it is to be ended.
        """
        while True:
            seconds = self._look()
            await asyncio.sleep(seconds)

    def _look(self) -> float:
        """Look once, and say in how many seconds to look again."""
        lines = self._lines()
        memory = memory_errors.held("\n".join(lines))
        mapped = next((int(s.split()[1]) << 10 for s in lines if s.startswith("VmData:")), 0)
        self._held.memory = max(self._held.memory, memory)
        self._held.data = max(self._held.data, mapped)
        most = self._limits.memory_bytes
        if most and memory > most:
            raise HeldError
        left = min((most or self._limits.data_bytes) - memory, self._limits.data_bytes - mapped)
        return min(max(left / _BYTES_PER_SECOND, _OFTEN_SECONDS), _SELDOM_SECONDS)

    def _lines(self) -> list[str]:
        if self._status < 0:
            return []
        try:
            return os.pread(self._status, 8192, 0).decode(errors="replace").splitlines()
        except OSError:
            return []  # it has ended
