"""What a child may take that no resource limit bounds: the disk of its scratch, and threads.

A limit bounds each file that it writes, not how many it writes. So a child is looked at while it
runs, and ended when its scratch holds more than it can need. Files that no name leads to any more
count only in the disk's free space: a child is ended too when little of that is left, whoever
filled it. What it wrote is gone with it. The limit of processes counts all of a user's threads,
which may be the training job's too, so a child's own are counted here.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from checkpointd.core.text import size
from checkpointd.dispatch.process_monitor import OverdrawnError

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from checkpointd.dispatch.process_monitor import Watched

T = TypeVar("T")

_EVERY_SECONDS = 0.2
_MOST_ENTRIES = 10_000
_DEEPEST = 32
_MOST_THREADS = 4096
"""Libraries make one or two for each CPU."""

_FILES = 2
"""Whole files of the largest size that a limit allows; what is needed is one."""

_RESERVE_SHARE = 20
_RESERVE_MOST = 1 << 30
_RESERVE_LEAST = 256 << 20
_SMALL_SHARE = 4
_BLOCK = 512


async def guarded(
    work: Coroutine[Any, Any, T],
    scratch: Path,
    file_bytes: int,
    watched: Watched | None = None,
) -> T:
    """Wait for a child, and look meanwhile at what it takes.

    Args:
        work: what waits for it; it is cancelled when this raises.
        scratch: the child's directory.
        file_bytes: the most that one of its files may hold.
        watched: what the kernel tells of the child, if it tells anything.

    Raises:
        OverdrawnError: the child is to be ended.
    """
    working = asyncio.ensure_future(work)
    guarding = [asyncio.ensure_future(_guard(watched, scratch, file_bytes))]
    if watched is not None:
        guarding.append(asyncio.ensure_future(watched.watch()))
    try:
        await asyncio.wait((working, *guarding), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        return next(guard for guard in guarding if guard.done()).result()
    finally:
        for task in (working, *guarding):
            task.cancel()
        await asyncio.gather(working, *guarding, return_exceptions=True)


async def _guard(watched: Watched | None, scratch: Path, file_bytes: int) -> NoReturn:
    floor = floor_of(scratch)
    while True:
        await asyncio.sleep(_EVERY_SECONDS)
        most = _FILES * file_bytes
        try:
            await asyncio.to_thread(_look, watched, scratch, most, floor)
        except RuntimeError:  # a child may have taken every thread that there is
            _look(watched, scratch, most, floor)


def _look(watched: Watched | None, scratch: Path, most: int, floor: int) -> None:
    if watched is not None and watched.threads() > _MOST_THREADS:
        raise OverdrawnError(f"it started more than {_MOST_THREADS} threads")
    if used(scratch) > most:
        raise OverdrawnError(f"it wrote more than {size(most)} into its scratch directory")
    disk = _disk(scratch)
    if disk is not None and disk[1] < floor:
        raise OverdrawnError(
            "the disk of state_dir became nearly full while it ran: make room there; it is tried "
            "again"
        )


def floor_of(path: Path) -> int:
    """Free bytes below which a child is ended that begins now.

    A twentieth of the disk, 1 GiB at most; 256 MiB at least, or a quarter of a small disk, because
    it is filled quickly. Half of what is free where that is less, so that a disk which is nearly
    full for good ends nobody, and is not filled either.
    """
    total, free = _disk(path) or (0, 0)
    least = min(_RESERVE_LEAST, total // _SMALL_SHARE)
    return min(max(total // _RESERVE_SHARE, least), _RESERVE_MOST, free // 2)


def _disk(path: Path) -> tuple[int, int] | None:
    """Bytes that a disk has, and those that are free; None where it does not say."""
    try:
        disk = os.statvfs(path)
    except OSError:
        return None
    return disk.f_blocks * disk.f_frsize, disk.f_bavail * disk.f_frsize


def used(scratch: Path) -> int:
    """Bytes on disk of what a directory holds, at any depth; what goes meanwhile does not count.

    Raises:
        OverdrawnError: there is too much in it to be counted.
    """
    total = entries = 0
    level = [str(scratch)]
    for _ in range(_DEEPEST):
        below: list[str] = []
        for directory in level:
            with contextlib.suppress(OSError), os.scandir(directory) as found:
                for entry in found:
                    entries += 1
                    if entries > _MOST_ENTRIES:
                        raise OverdrawnError(
                            f"it made more than {_MOST_ENTRIES} files in its scratch directory"
                        )
                    with contextlib.suppress(OSError):
                        total += entry.stat(follow_symlinks=False).st_blocks * _BLOCK
                        if entry.is_dir(follow_symlinks=False):
                            below.append(entry.path)
        if not below:
            return total
        level = below
    raise OverdrawnError(f"it nested more than {_DEEPEST} directories in its scratch directory")
