"""Which watch has which trash: those that run, and those whose disk threads have not ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.config import WatchSettings
    from checkpointd.daemon.bucket_retention import BucketRetention
    from checkpointd.daemon.threads import DiskThread
    from checkpointd.daemon.watch_retention import WatchRetention


class TrashOwners:
    """Knows which watch a trash belongs to, so that no other moves anything in it.

    Args:
        running: the retention of each watch that runs, by its name.
    """

    def __init__(self, running: Mapping[str, WatchRetention | BucketRetention]) -> None:
        self._running = running
        self._leaving: dict[str, tuple[WatchSettings, tuple[DiskThread, ...] | None]] = {}

    async def stop(self, watch: WatchRetention | BucketRetention) -> tuple[DiskThread, ...]:
        """Stop a watch that runs no more; returns the disk threads that have not ended."""
        self._leaving[watch.trash_directory] = (watch.settings, None)
        hung = await watch.stop()
        self._leaving[watch.trash_directory] = (watch.settings, hung)
        return hung

    def settings(self) -> dict[str, WatchSettings]:
        """The settings of the watch that has each trash, by the directory of the trash."""
        self._leaving = {
            directory: (settings, disks)
            for directory, (settings, disks) in self._leaving.items()
            if disks is None or not all(disk.over for disk in disks)
        }
        leaving = {directory: settings for directory, (settings, _) in self._leaving.items()}
        running = {watch.trash_directory: watch.settings for watch in self._running.values()}
        return {**leaving, **running}
