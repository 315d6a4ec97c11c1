"""What a child may fill of the disk on which its scratch lies.

A resource limit bounds each file that it writes, not how many it writes. So a child is looked at
while it runs, and ended when its scratch holds more than it can need. Files that no name leads to
any more count only in the disk's free space: a child is ended too when little of that is left,
whoever filled it. What it wrote is gone with it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from checkpointd.config.units import format_size

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

T = TypeVar("T")

_EVERY_SECONDS = 0.2
_MOST_ENTRIES = 10_000
_DEEPEST = 32
_FILES = 2
"""Whole files of the largest size that a limit allows; what is needed is one."""

_RESERVE_SHARE = 20
_RESERVE_MOST = 1 << 30
_BLOCK = 512


class OverdrawnError(Exception):
    """A child took too much of the disk, or too little is left; the text is a clause."""


async def guarded(work: Coroutine[Any, Any, T], scratch: Path, file_bytes: int) -> T:
    """Wait for a child, and look meanwhile at what it takes of the disk.

    Args:
        work: what waits for it; it is cancelled when this raises.
        scratch: the child's directory.
        file_bytes: the most that one of its files may hold.

    Raises:
        OverdrawnError: the child is to be ended.
    """
    working = asyncio.ensure_future(work)
    guarding = asyncio.ensure_future(_guard(scratch, file_bytes))
    try:
        await asyncio.wait((working, guarding), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else guarding.result()
    finally:
        working.cancel()
        guarding.cancel()
        await asyncio.gather(working, guarding, return_exceptions=True)


async def _guard(scratch: Path, file_bytes: int) -> NoReturn:
    floor = floor_of(scratch)
    while True:
        await asyncio.sleep(_EVERY_SECONDS)
        most = _FILES * file_bytes
        try:
            await asyncio.to_thread(_look, scratch, most, floor)
        except RuntimeError:  # a child may have taken every thread that there is
            _look(scratch, most, floor)


def _look(scratch: Path, most: int, floor: int) -> None:
    if used(scratch) > most:
        raise OverdrawnError(f"it wrote more than {format_size(most)} into its scratch directory")
    disk = _disk(scratch)
    if disk is not None and disk[1] < floor:
        raise OverdrawnError(
            "the disk of state_dir became nearly full while it ran: make room there; it is tried "
            "again"
        )


def floor_of(path: Path) -> int:
    """Free bytes below which a child is ended that begins now.

    A twentieth of the disk, 1 GiB at most; half of what is free where that is less, so that a disk
    which is nearly full for good ends nobody, and is not filled either.
    """
    total, free = _disk(path) or (0, 0)
    return min(_RESERVE_MOST, total // _RESERVE_SHARE, free // 2)


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
