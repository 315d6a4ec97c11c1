"""How full the state directory is and the file system that it is on, for the metrics."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from typing import TYPE_CHECKING

from checkpointd.daemon.threads import DiskThread
from checkpointd.observe.snapshot import StateDirSnapshot

if TYPE_CHECKING:
    from pathlib import Path

_INTERVAL_SECONDS = 60.0


class StateUsage:
    """Measures now and then, in a thread of its own; `last` is None before the first time.

    Args:
        state_dir: the state directory.
    """

    def __init__(self, state_dir: Path) -> None:
        self.last: StateDirSnapshot | None = None
        self._state_dir = state_dir

    async def run(self) -> None:
        """Measure until cancelled."""
        disk = DiskThread("state")
        try:
            while True:
                with contextlib.suppress(OSError):
                    self.last = await disk(measured, self._state_dir)
                await asyncio.sleep(_INTERVAL_SECONDS)
        finally:
            disk.close()


def measured(directory: Path) -> StateDirSnapshot:
    """Return what a directory occupies, and how full its file system is.

    Raises:
        OSError: it cannot be found out.
    """
    disk = shutil.disk_usage(directory)
    return StateDirSnapshot(used=_occupied(str(directory)), avail=disk.free, size=disk.total)


def _occupied(directory: str) -> int:
    """The bytes of all files below a directory; what disappears meanwhile is left out."""
    total = 0
    for where, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(where, name)).st_blocks * 512
    return total
