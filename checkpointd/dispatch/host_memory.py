"""How much memory this machine can spare: its own, and what the control groups leave of it.

A reserve is kept for the training job, which must never run out of memory because of checkpointd.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_MiB = 1 << 20
_RESERVE_SHARE = 10
_RESERVE_MIN = 512 * _MiB
_RESERVE_MAX = 8192 * _MiB
_NO_LIMIT = 1 << 60
"""A limit of this size or more means no limit: cgroup v1 writes its largest number."""

_NEVER_OVERCOMMIT = "2"
_V1_LIMITS: tuple[str, ...] = ("memory.limit_in_bytes",)
_V2_LIMITS: tuple[str, ...] = ("memory.max", "memory.high")
_ROOT = Path("/")


def available_bytes(root: Path = _ROOT) -> int:
    """Return the bytes that all children together may use without harm to other processes.

    The least of what the kernel calls available and of what is left in each control group of this
    process, less a reserve.

    Args:
        root: directory that holds `proc` and `sys`.
    """
    meminfo = _numbers(root / "proc/meminfo")
    total = meminfo.get("MemTotal:", 0) << 10
    available = meminfo.get("MemAvailable:", meminfo.get("MemFree:", 0)) << 10
    free = max(0, available - reserve(total))
    if text_of(root / "proc/sys/vm/overcommit_memory") == _NEVER_OVERCOMMIT:
        free = min(free, (meminfo.get("CommitLimit:", 0) - meminfo.get("Committed_AS:", 0)) << 10)
    for limit, used in _limits_and_usage(root):
        free = min(free, limit - used - reserve(min(limit, total or limit)))
    return max(0, free)


def reserve(total: int) -> int:
    """Return the bytes that are left to the training job: a tenth of all, 512 MiB to 8 GiB."""
    return min(max(total // _RESERVE_SHARE, _RESERVE_MIN), _RESERVE_MAX)


def oom_kills(root: Path = _ROOT) -> int:
    """Return how many processes the kernel has killed for lack of memory since it booted."""
    return _numbers(root / "proc/vmstat").get("oom_kill", 0)


def _limits_and_usage(root: Path) -> Iterator[tuple[int, int]]:
    """Yield limit and usage of each memory control group of this process, upwards (cgroups(7))."""
    for line in text_of(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            limits, usage, prefix = _V2_LIMITS, "memory.current", ""
            mounts = [root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified"]
        elif "memory" in controllers.split(","):
            limits, usage, prefix = _V1_LIMITS, "memory.usage_in_bytes", "total_"
            mounts = [root / "sys/fs/cgroup/memory"]
        else:
            continue
        for mount in mounts:
            for group in upwards(mount, path):
                yield from _limit_and_usage(group, limits, usage, prefix)


def upwards(mount: Path, path: str) -> Iterator[Path]:
    """Yield the directories of a group and those above; a container has only the last of them."""
    parts = [part for part in path.split("/") if part not in ("", "..")]
    for count in range(len(parts), -1, -1):
        yield mount.joinpath(*parts[:count])


def _limit_and_usage(
    group: Path, limits: tuple[str, ...], usage: str, prefix: str
) -> Iterator[tuple[int, int]]:
    bounds = [int(text) for name in limits if (text := text_of(group / name)).isdigit()]
    used = text_of(group / usage)
    if not used.isdigit() or min(bounds, default=_NO_LIMIT) >= _NO_LIMIT:
        return
    stat = _numbers(group / "memory.stat")
    cache = sum(stat.get(f"{prefix}{name}", 0) for name in ("inactive_file", "active_file"))
    yield min(bounds), max(0, int(used) - cache - stat.get("slab_reclaimable", 0))


def _numbers(path: Path) -> dict[str, int]:
    """Return the numbers of a file with a name and a number in each line."""
    rows = (line.split() for line in text_of(path).splitlines())
    return {row[0]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}


def text_of(path: Path) -> str:
    """Return the stripped text of a small file; empty where it cannot be read."""
    with contextlib.suppress(OSError):
        return path.read_text(encoding="ascii", errors="replace").strip()
    return ""
