"""When items of the trash are deleted for good: after `trash_ttl`, or early if space is needed.

Early means oldest first, and only until two more of the largest checkpoints fit beside a reserve.
What a changed policy removed goes last, and only while those two would not fit at all: it is what
somebody will want back.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.core.text import exact_duration, size
from checkpointd.retention.trash import item_directory
from checkpointd.retention.trash.item import TrashItem, finished_items

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from checkpointd.ledger import Ages
    from checkpointd.retention.trash.place import TrashPlace

NEXT_SAVES = 2
"""For how many saves of the largest size the trash leaves space."""

BY_HAND = "`checkpointd trash empty` was called"

_GIB = 1 << 30
_MIN_FREE_SHARE, _MIN_FREE_MOST = 1 / 20, 10 * _GIB
_MIN_FREE_BYTES, _MIN_FREE_SHARE_MOST = _GIB, 1 / 10


@dataclass(frozen=True)
class Deleted:
    """One item that was deleted for good, and why: it was old enough, or the job needs space."""

    item: TrashItem
    reason: str
    early: bool = False

    @property
    def path(self) -> str:
        """Where it was before it was pruned."""
        return self.item.path


@dataclass(frozen=True)
class Expired:
    """What was deleted for good, and a message for each cause that something could not be."""

    deleted: tuple[Deleted, ...]
    errors: tuple[str, ...]


@dataclass(frozen=True)
class Disk:
    """The size of a file system and what is free on it, in bytes."""

    total: int
    free: int


@dataclass(frozen=True)
class TrashLimits:
    """What decides how long an item stays: `ttl` in seconds, and the space that others need.

    `largest` is the size of the largest valid checkpoint of the watch, `min_free` gives for the
    size of a disk the bytes that should be free beside the next saves. What was moved here until
    `kept_until` stays for `kept_ttl` seconds if that is longer.
    """

    ttl: float
    ages: Ages
    largest: int = 0
    min_free: Callable[[int], float] | None = None
    kept_ttl: float = 0.0
    kept_until: float = 0.0

    @property
    def next_saves(self) -> int:
        """How many bytes the next saves need."""
        return NEXT_SAVES * self.largest

    def ttl_of(self, item: TrashItem) -> float:
        """How long an item stays, in seconds."""
        return max(self.ttl, self.kept_ttl if item.manifest.at <= self.kept_until else 0.0)

    def is_kept_longer(self, item: TrashItem) -> bool:
        """Whether an item is older than `ttl`, and stays."""
        return self.ttl < self.ages.age(item.manifest.at) <= self.ttl_of(item)

    def reserve(self, total: int) -> int:
        """How many bytes should be free on a disk of a size."""
        return self.next_saves + int((self.min_free or min_free_bytes)(total))


def min_free_bytes(total: int) -> float:
    """Below how many free bytes a disk of a size counts as nearly full.

    A twentieth of it, 10 GiB at most: a large disk has space for many checkpoints long before. And
    1 GiB at least, if that is no more than a tenth: a small one has none long after.
    """
    return max(
        min(total * _MIN_FREE_SHARE, _MIN_FREE_MOST),
        min(_MIN_FREE_BYTES, total * _MIN_FREE_SHARE_MOST),
    )


def to_delete(items: Sequence[TrashItem], disk: Disk, limits: TrashLimits) -> list[Deleted]:
    """Choose what is to be deleted now, in that order; pure.

    What deleting frees is counted by the sizes of the items, because some file systems free space
    only later: what is still missing then is freed in the next round.
    """
    age = {item.id: limits.ages.age(item.manifest.at) for item in items}
    oldest_first = sorted(items, key=lambda i: (i.manifest.policy_changed, -age[i.id], i.id))
    reason = "it has been in the trash for longer than trash_ttl = {}"
    ttl = {item.id: limits.ttl_of(item) for item in items}
    chosen = [
        Deleted(item, reason.format(exact_duration(ttl[item.id])))
        for item in oldest_first
        if age[item.id] > ttl[item.id]
    ]
    free = disk.free + sum(one.item.manifest.size_bytes for one in chosen)
    for item in oldest_first:
        if age[item.id] > ttl[item.id]:
            continue
        last = item.manifest.policy_changed
        needed = limits.next_saves if last else limits.reserve(disk.total)
        if free >= needed:
            continue
        chosen.append(Deleted(item, _why_early(free, limits, disk.total), early=True))
        free += item.manifest.size_bytes
    return chosen


def _why_early(free: int, limits: TrashLimits, total: int) -> str:
    share = f"{100 * free / total:.1f} %" if total else "nothing"
    if not limits.largest:
        return f"the disk is nearly full: {size(free)} are free ({share})"
    return (
        f"the disk is nearly full: {size(free)} are free ({share}), and the next {NEXT_SAVES} "
        f"checkpoints may need {size(limits.next_saves)}"
    )


def disk_of(path: str) -> Disk:
    """The file system that a path is on.

    Raises:
        OSError: it cannot be found out.
    """
    usage = shutil.disk_usage(path)
    return Disk(usage.total, usage.free)


def expire(
    place: TrashPlace,
    limits: TrashLimits,
    *,
    keep: frozenset[str] = frozenset(),
    stopped: Callable[[], bool],
    on_step: Callable[[str], None],
) -> Expired:
    """Delete what is old enough, and more while the job needs the space; see `Trash.expire`."""
    try:
        items = [item for item in finished_items(place) if item.id not in keep]
        chosen = to_delete(items, disk_of(place.root), limits) if items else []
    except OSError as error:
        return unreadable(place, error)
    return delete(place, chosen, stopped=stopped, on_step=on_step)


def unreadable(place: TrashPlace, error: OSError) -> Expired:
    """Nothing was deleted, because the trash cannot be read."""
    return Expired((), (f"The trash of {place.root!r} cannot be read: {error.strerror}.",))


def delete(
    place: TrashPlace,
    chosen: Sequence[Deleted],
    *,
    stopped: Callable[[], bool],
    on_step: Callable[[str], None],
) -> Expired:
    """Delete items for good, in their order."""
    deleted: list[Deleted] = []
    failed: dict[str, list[str]] = {}
    for one in chosen:
        if stopped():
            break
        try:
            with place.opened() as trash_fd:
                item_directory.delete(trash_fd, one.item.id, on_step)
            deleted.append(one)
        except FileNotFoundError:  # the job has removed its directory, the trash with it
            continue
        except OSError as error:
            failed.setdefault(str(error.strerror), []).append(one.item.id)
    errors = []
    for cause, (first, *others) in failed.items():
        more = f" and {len(others)} more" if others else ""
        errors.append(f"{first}{more} cannot be deleted: {cause}.")
    return Expired(tuple(deleted), tuple(errors))
