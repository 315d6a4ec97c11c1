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

_CHECK_SECONDS = 5.0


class Runtimes:
    """The last known state of each interpreter; each is checked in a separate thread."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._disks: dict[str, DiskThread] = {}
        self._checks: dict[str, asyncio.Task[str]] = {}

    def of(self, python: str) -> str:
        """Name an interpreter and what is installed for it; its path alone while that is unknown.

        Args:
            python: as settings name it.
        """
        return self._known.get(python, python)

    async def check(self, pythons: Iterable[str]) -> list[str]:
        """Check interpreters; one whose disk hangs is not waited for.

        Returns:
            Those that have changed.
        """
        requested = set(pythons)
        for python in requested - set(self._checks):
            disk = self._disks.get(python)
            if disk is None:
                disk = self._disks[python] = DiskThread("interpreter")
            self._checks[python] = asyncio.create_task(disk(describe_runtime, python))
        checks = {python: self._checks[python] for python in requested}
        if checks:
            await asyncio.wait(checks.values(), timeout=_CHECK_SECONDS)
        changed = []
        for python, check in checks.items():
            if check.done() and self._checks.get(python) is check:
                del self._checks[python]
                before, now = self.of(python), check.result()
                self._known[python] = now
                changed += [python] if before != now else []
        return changed

    def close(self) -> None:
        """Cancel all checks; what hangs is left behind."""
        for check in self._checks.values():
            check.cancel()
        for disk in self._disks.values():
            disk.close()
