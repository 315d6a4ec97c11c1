"""The interpreters that checkpoints are loaded with, and what is installed for each.

That may change under a running daemon: TensorFlow is upgraded, a missing package is added, a disk
that hung answers again. `reverification` acts on it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from checkpointd.daemon.threads import DiskThread
from checkpointd.dispatch.python_installation import describe_runtime

if TYPE_CHECKING:
    from collections.abc import Iterable

_LOOK_SECONDS = 5.0


class Runtimes:
    """What was last found out about each interpreter; each has a thread of its own."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._disks: dict[str, DiskThread] = {}
        self._looks: dict[str, asyncio.Task[str]] = {}

    def of(self, python: str) -> str:
        """Name an interpreter and what is installed for it; its path alone while that is unknown.

        Args:
            python: as settings name it.
        """
        return self._known.get(python, python)

    async def look(self, pythons: Iterable[str]) -> list[str]:
        """Look at interpreters; one whose disk hangs is left to answer when it can.

        Returns:
            Those that have changed.
        """
        wanted = set(pythons)
        for python in wanted - set(self._looks):
            disk = self._disks.get(python)
            if disk is None:
                disk = self._disks[python] = DiskThread("interpreter")
            self._looks[python] = asyncio.create_task(disk(describe_runtime, python))
        looks = {python: self._looks[python] for python in wanted}
        if looks:
            await asyncio.wait(looks.values(), timeout=_LOOK_SECONDS)
        changed = []
        for python, look in looks.items():
            if look.done() and self._looks.get(python) is look:
                del self._looks[python]
                before, now = self.of(python), look.result()
                self._known[python] = now
                changed += [python] if before != now else []
        return changed

    def close(self) -> None:
        """Look no more; what hangs is left behind."""
        for look in self._looks.values():
            look.cancel()
        for disk in self._disks.values():
            disk.close()
