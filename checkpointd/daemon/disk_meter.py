"""Finds out how full the file system of a watch is: all of it with each round, the rest between.

Everything runs in the watch's disk thread.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.core.text import size
from checkpointd.daemon.disk_usage import DiskTrend, DiskUsage
from checkpointd.retention.trash import TrashLimits, bytes_of, disk_of, forecast, known_trash

if TYPE_CHECKING:
    from checkpointd.config import WatchSettings
    from checkpointd.daemon.ledger_records import LedgerRecords
    from checkpointd.daemon.vault_keeper import VaultKeeper
    from checkpointd.retention import Trash
    from checkpointd.retention.trash import Disk, SpaceForecast

_NOT_PRUNED = {
    "off": '; nothing is pruned while mode = "off"',
    "dry-run": '; nothing is pruned while mode = "dry-run", and pruning cannot begin on a disk '
    "that is full to the last byte: decide before it is",
}


class DiskMeter:
    """Measures the file system of one watch; `usage` is the last result.

    Args:
        settings: the `[[watch]]` of the config.
        trash: of the watch.
        vault: of the watch.
        records: the ledger, where a trash is recorded.
    """

    def __init__(
        self, settings: WatchSettings, trash: Trash, vault: VaultKeeper, records: LedgerRecords
    ) -> None:
        self.usage = DiskUsage()
        self._settings = settings
        self._trash = trash
        self._vault = vault
        self._records = records
        self._trend = DiskTrend()

    def measure(self, limits: TrashLimits) -> None:
        """Measure everything; a disk that cannot be measured keeps its last figures."""
        policy = self._settings.retention
        items, copies = self._trash.items(), self._vault.copies()
        reserved = policy.mode == "enforce" and self._trash.keep_reserve()
        if items or copies or reserved:
            self._records.record_trash(known_trash(self._settings))
        usage = replace(
            self.usage,
            trash=bytes_of(items),
            vault=bytes_of(copies) if copies or policy.vault is not None else None,
            problem="",
        )
        try:
            disk = disk_of(str(self._settings.path))
        except OSError:
            self.usage = usage
            return
        ahead = forecast(items, disk, limits, is_off=policy.mode == "off")
        self.usage = replace(
            usage,
            available=disk.free,
            reserve=limits.reserve(disk.total),
            next_save=limits.largest or None,
            problem=self._problem(ahead, has_items=bool(items)),
            filesystem=self._trend.measured(
                str(self._settings.path), disk, next_saves_fit=ahead is None or ahead.is_enough
            ),
        )

    def follow(self) -> Disk | None:
        """Measure the free bytes with one system call; None if that is not possible."""
        try:
            disk = disk_of(str(self._settings.path))
        except OSError:
            return None
        self.usage = replace(self.usage, available=disk.free)
        return disk

    def is_outdated(self, disk: Disk, before: int | None) -> bool:
        """Whether everything is to be measured again, given what was free before.

        The next saves fit now and did not, or inverse; or what is free now is in the problem.
        """
        if self.usage.problem and before is not None and size(before) != size(disk.free):
            return True
        reserve = self.usage.reserve
        if reserve is None or self.usage.next_save is None:
            return False
        is_off = self._settings.retention.mode == "off"
        may_use = disk.free + (0 if is_off else self.usage.trash or 0)
        return (may_use >= reserve) is not self.usage.filesystem.next_saves_fit

    def _problem(self, ahead: SpaceForecast | None, *, has_items: bool) -> str:
        """A sentence on space that the next saves lack, or take from the trash; else empty."""
        mode = self._settings.retention.mode
        if ahead is None or not ahead.text:
            return ""
        if ahead.is_enough and not has_items and mode != "enforce":
            return ""
        why = "" if ahead.is_enough else _NOT_PRUNED.get(mode, "")
        return f"Watch {self._settings.name}: {ahead.text}{why}."
