"""Memory and threads of a running child, read from /proc; a child over its memory limit is killed.

The kernel's own limit (RLIMIT_DATA) counts mapped memory that is never used and no shared memory,
and a refused allocation can make a library fail in any way. A child that is killed for the memory
it really uses leaves no doubt about the cause.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from checkpointd.core import memory_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.worker.protocol import ChildLimits

_BYTES_PER_SECOND = 16 << 30
"""No process fills memory faster: the closer it is to its limit, the sooner it is read again."""

_MIN_INTERVAL_SECONDS = 0.01
_MAX_INTERVAL_SECONDS = 0.2


class QuotaExceededError(Exception):
    """A child used too much, or too little disk space is left; the text is a clause."""


class MemoryExceededError(QuotaExceededError):
    """A child uses more memory than it may."""


@dataclass
class PeakMemory:
    """The largest values that were seen of a child: memory in use and mapped (VmData), in bytes.

    `by_check` is the most memory that it used between the end of one check and that of the next.
    """

    memory: int = 0
    data: int = 0
    by_check: dict[str, int] = field(default_factory=dict)
    _last: int = 0
    _since: int = 0

    def note(self, memory: int, data: int) -> None:
        """Take a reading."""
        self.memory = max(self.memory, memory)
        self.data = max(self.data, data)
        self._last, self._since = memory, max(self._since, memory)

    def note_check(self, name: str) -> None:
        """Count what was read since the last check ended as what this check used."""
        if self._since:
            self.by_check[name] = self._since
        self._since = self._last


class ProcessMonitor:
    """Reads what the kernel reports about a child.

    Args:
        descriptors: of its /proc/PID/status, opened while that was visible; or none.
        limits: of the child.
        peak: updated with every reading.
    """

    def __init__(self, descriptors: Sequence[int], limits: ChildLimits, peak: PeakMemory) -> None:
        self._status = descriptors[0] if descriptors else -1
        self._limits = limits
        self._peak = peak

    def threads(self) -> int:
        """Return the number of its threads; 0 where that cannot be seen."""
        return next((int(line[8:]) for line in self._lines() if line.startswith("Threads:")), 0)

    async def watch(self) -> NoReturn:
        """Read its memory for as long as it lives.

        Raises:
            MemoryExceededError: the caller must kill it.
        """
        while True:
            seconds = self._read()
            await asyncio.sleep(seconds)

    def _read(self) -> float:
        """Read once; return the seconds until the next reading."""
        lines = self._lines()
        memory = memory_errors.held_bytes("\n".join(lines))
        mapped = next((int(s.split()[1]) << 10 for s in lines if s.startswith("VmData:")), 0)
        self._peak.note(memory, mapped)
        limit = self._limits.memory_bytes
        if limit and memory > limit:
            raise MemoryExceededError
        left = min((limit or self._limits.data_bytes) - memory, self._limits.data_bytes - mapped)
        return min(max(left / _BYTES_PER_SECOND, _MIN_INTERVAL_SECONDS), _MAX_INTERVAL_SECONDS)

    def _lines(self) -> list[str]:
        if self._status < 0:
            return []
        try:
            return os.pread(self._status, 8192, 0).decode(errors="replace").splitlines()
        except OSError:
            return []  # it has ended
