"""Forecasts what the next saves of the job would delete from the trash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.core.text import printable, size
from checkpointd.retention.trash.expiry import NEXT_SAVES, Disk, TrashLimits, to_delete

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.retention.trash.item import TrashItem


@dataclass(frozen=True)
class SpaceForecast:
    """Bytes that are free, in the trash, and needed; what would be deleted early, in that order.

    `is_off` says that nothing in the trash is ever deleted.
    """

    free: int
    trash: int
    needed: int
    early: tuple[TrashItem, ...] = ()
    is_off: bool = False

    @property
    def is_enough(self) -> bool:
        """Whether the next saves fit, should the trash give way."""
        return self.free + (0 if self.is_off else self.trash) >= self.needed

    @property
    def text(self) -> str:
        """What a person should know, as a sentence; empty if there is space."""
        facts = (
            f"the trash holds {size(self.trash)}, the disk has {size(self.free)} free, and "
            f"{size(self.needed)} are needed for the next {NEXT_SAVES} saves and a reserve"
        )
        if not self.is_enough:
            if self.is_off and self.trash:
                return f'{facts}: nothing in the trash is deleted while mode = "off"; empty it'
            return (
                f"{facts}: delete what is unfinished or invalid by hand (`checkpointd list --state "
                "writing --state invalid` prints it), free other space, or keep fewer checkpoints"
            )
        if not self.early:
            return ""
        first = printable(self.early[0].path)
        return (
            f"{facts}: after them {len(self.early)} in the trash would be deleted before trash_ttl "
            f"is over, from {first} on"
        )


def forecast(
    items: Sequence[TrashItem], disk: Disk, limits: TrashLimits, *, is_off: bool = False
) -> SpaceForecast | None:
    """Look ahead to the next saves; None where no checkpoint is known; pure."""
    if not limits.largest:
        return None
    after = Disk(disk.total, max(0, disk.free - limits.next_saves))
    early = () if is_off else tuple(d.item for d in to_delete(items, after, limits) if d.early)
    trash = sum(item.manifest.size_bytes for item in items)
    return SpaceForecast(disk.free, trash, limits.reserve(disk.total), early, is_off)
