"""When the trash deletes for good: after `trash_ttl`, and oldest first while the disk is full."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.core.text import exact_duration, size
from checkpointd.retention.trash import item_directory
from checkpointd.retention.trash.item import TrashItem, finished_items, opened_trash

if TYPE_CHECKING:
    from collections.abc import Callable

_GIB = 1 << 30
_MIN_FREE_SHARE, _MIN_FREE_MOST = 1 / 20, 10 * _GIB
_MIN_FREE_BYTES, _MIN_FREE_SHARE_MOST = _GIB, 1 / 10


@dataclass(frozen=True)
class Deleted:
    """One item that was deleted for good, and why: it was old enough, or the disk nearly full."""

    item: TrashItem
    reason: str

    @property
    def path(self) -> str:
        """Where it was before it was pruned."""
        return self.item.path


@dataclass(frozen=True)
class Expired:
    """What was deleted for good, and a message for each cause that something could not be."""

    deleted: tuple[Deleted, ...]
    errors: tuple[str, ...]


def min_free_bytes(total: int) -> float:
    """Below how many free bytes a disk of a size counts as nearly full.

    A twentieth of it, 10 GiB at most: a large disk has space for many checkpoints long before. And
    1 GiB at least, if that is no more than a tenth: a small one has none long after.
    """
    return max(
        min(total * _MIN_FREE_SHARE, _MIN_FREE_MOST),
        min(_MIN_FREE_BYTES, total * _MIN_FREE_SHARE_MOST),
    )


def expire(
    root: str,
    now: float,
    ttl: float,
    *,
    min_free: Callable[[int], float],
    stopped: Callable[[], bool],
    on_step: Callable[[str], None],
) -> Expired:
    """Delete what is old enough, and more while the disk is nearly full; see `Trash.expire`."""
    deleted: list[Deleted] = []
    errors: list[str] = []
    failed: dict[str, list[str]] = {}
    try:
        for item in reversed(finished_items(root)):
            reason = _reason_to_delete(root, item, now, ttl, min_free)
            if not reason or stopped():
                break
            try:
                with opened_trash(root) as trash_fd:
                    item_directory.delete(trash_fd, item.id, on_step)
                deleted.append(Deleted(item, reason))
            except OSError as error:
                failed.setdefault(str(error.strerror), []).append(item.id)
    except OSError as error:
        errors.append(f"The trash of {root!r} cannot be read: {error.strerror}.")
    for cause, (first, *others) in failed.items():
        more = f" and {len(others)} more" if others else ""
        errors.append(f"{first}{more} cannot be deleted: {cause}.")
    return Expired(tuple(deleted), tuple(errors))


def _reason_to_delete(
    root: str, item: TrashItem, now: float, ttl: float, min_free: Callable[[int], float]
) -> str:
    if now - item.manifest.at > ttl:
        return f"it has been in the trash for longer than trash_ttl = {exact_duration(ttl)}"
    usage = shutil.disk_usage(root)
    if usage.free < min_free(usage.total):
        share = 100 * usage.free / usage.total
        return f"the disk is nearly full: {size(usage.free)} are free ({share:.1f} %)"
    return ""
