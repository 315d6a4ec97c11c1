"""Quotas of a child that no resource limit can enforce: disk space in its scratch, and threads.

RLIMIT_FSIZE bounds each file that a child writes, not how many files it writes. So the daemon
measures the scratch directory while the child runs and kills the child when it holds more than any
check needs. Unlinked files that are still open count only in the disk's free space: a child is
also killed when little of that is left, no matter who used it. RLIMIT_NPROC counts all threads of a
user, which may include the training job's, so the child's own threads are counted here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from checkpointd.core.text import size
from checkpointd.dispatch.process_monitor import QuotaExceededError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from checkpointd.dispatch.process_monitor import ProcessMonitor

T = TypeVar("T")

_INTERVAL_SECONDS = 0.2
_MAX_ENTRIES = 10_000
_MAX_DEPTH = 32
_MAX_THREADS = 4096
"""Libraries start one or two for each CPU."""

_FILES = 2
"""Whole files of the largest allowed size; a check needs one."""

_RESERVE_SHARE = 20
_RESERVE_MAX = 1 << 30
_RESERVE_MIN = 256 << 20
_SMALL_DISK_SHARE = 4
_BLOCK = 512


async def run_within_quota(
    work: Coroutine[Any, Any, T],
    scratch: Path,
    file_bytes: int,
    monitor: ProcessMonitor | None = None,
) -> T:
    """Wait for a child and enforce its quotas meanwhile.

    Args:
        work: waits for the child; it is cancelled when this raises.
        scratch: the child's directory.
        file_bytes: the largest size of one of its files.
        monitor: reads the child's memory and threads, if they can be seen.

    Raises:
        QuotaExceededError: the caller must kill the child.
    """
    working = asyncio.ensure_future(work)
    guards = [asyncio.ensure_future(_enforce(monitor, scratch, file_bytes))]
    if monitor is not None:
        guards.append(asyncio.ensure_future(monitor.watch()))
    try:
        await asyncio.wait((working, *guards), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        return next(guard for guard in guards if guard.done()).result()
    finally:
        for task in (working, *guards):
            task.cancel()
        await asyncio.gather(working, *guards, return_exceptions=True)


async def _enforce(monitor: ProcessMonitor | None, scratch: Path, file_bytes: int) -> NoReturn:
    reserve = reserved_bytes(scratch)
    while True:
        await asyncio.sleep(_INTERVAL_SECONDS)
        limit = _FILES * file_bytes
        try:
            await asyncio.to_thread(_check, monitor, scratch, limit, reserve)
        except RuntimeError:  # no thread can be started: a child may have taken them all
            _check(monitor, scratch, limit, reserve)


def _check(monitor: ProcessMonitor | None, scratch: Path, limit: int, reserve: int) -> None:
    if monitor is not None and monitor.threads() > _MAX_THREADS:
        raise QuotaExceededError(f"it started more than {_MAX_THREADS} threads")
    if disk_usage(scratch) > limit:
        raise QuotaExceededError(f"it wrote more than {size(limit)} into its scratch directory")
    disk = _disk(scratch)
    if disk is not None and disk[1] < reserve:
        raise QuotaExceededError(
            "the disk of state_dir became nearly full while it ran: free some space there; it is "
            "tried again"
        )


def reserved_bytes(path: Path) -> int:
    """Return the free bytes below which a child that starts now is killed.

    A twentieth of the disk, at most 1 GiB; at least 256 MiB, or a quarter of a small disk, because
    a disk fills up quickly. Half of the free space where that is less, so that a disk which is
    always nearly full does not kill every child and is not filled up either.
    """
    total, free = _disk(path) or (0, 0)
    least = min(_RESERVE_MIN, total // _SMALL_DISK_SHARE)
    return min(max(total // _RESERVE_SHARE, least), _RESERVE_MAX, free // 2)


def _disk(path: Path) -> tuple[int, int] | None:
    """Return the total and the free bytes of a disk; None where they cannot be read."""
    try:
        disk = os.statvfs(path)
    except OSError:
        return None
    return disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize


def disk_usage(scratch: Path) -> int:
    """Return the bytes on disk of a directory's content; entries that vanish do not count.

    Raises:
        QuotaExceededError: it holds too many entries to count.
    """
    total = entries = 0
    level = [str(scratch)]
    for _ in range(_MAX_DEPTH):
        below: list[str] = []
        for directory in level:
            with contextlib.suppress(OSError), os.scandir(directory) as listing:
                for entry in listing:
                    entries += 1
                    if entries > _MAX_ENTRIES:
                        raise QuotaExceededError(
                            f"it made more than {_MAX_ENTRIES} files in its scratch directory"
                        )
                    with contextlib.suppress(OSError):
                        total += entry.stat(follow_symlinks=False).st_blocks * _BLOCK
                        if entry.is_dir(follow_symlinks=False):
                            below.append(entry.path)
        if not below:
            return total
        level = below
    raise QuotaExceededError(
        f"it nested more than {_MAX_DEPTH} directories in its scratch directory"
    )
