"""How many threads a library may use in a child, and for how long its cores have been busy.

That is as many as it has cores, unless its control group has a CPU quota.
Children run at SCHED_IDLE, so their threads take only what others leave. That does not hold for a
quota: what an idle core does for a child is taken from what the quota leaves to everything else in
the same control group, which may be the training job.
"""

from __future__ import annotations

import os
from pathlib import Path

from checkpointd.dispatch.host_memory import text_of, upwards

_ROOT = Path("/")
_MOST = 16
"""More threads than this make no load faster, and each maps a stack."""


def usable_threads(threads: int | str, root: Path = _ROOT) -> int:
    """Return how many threads to use.

    Args:
        threads: the number that is configured, or `"auto"`.
        root: directory that holds `proc` and `sys`.
    """
    if isinstance(threads, int):
        return threads
    return 1 if has_cpu_quota(root) else min(_MOST, len(os.sched_getaffinity(0)))


def busy_seconds(root: Path = _ROOT) -> tuple[int, float]:
    """Return how many cores this process may use, and for how long they were busy since boot.

    No core where the kernel does not show it. Source: proc_stat(5). What is shown as idle is not
    used: in a container it may stand still while cores are idle (lxcfs), or be 0 (gVisor).
    """
    cores = os.sched_getaffinity(0)
    rows = [line.split() for line in text_of(root / "proc/stat").splitlines()]
    rows = [row for row in rows if row and row[0][:3] == "cpu" and row[0][3:].isdigit()]
    own = [sum(map(int, row[1:4] + row[6:9])) for row in rows if int(row[0][3:]) in cores]
    return len(own), sum(own) / os.sysconf("SC_CLK_TCK")


def has_cpu_quota(root: Path = _ROOT) -> bool:
    """Whether a control group of this process limits its CPU time (cgroups(7), `cpu.max`)."""
    for line in text_of(root / "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            mounts, name = ("sys/fs/cgroup", "sys/fs/cgroup/unified"), "cpu.max"
        elif "cpu" in controllers.split(","):
            mounts, name = ("sys/fs/cgroup/cpu", f"sys/fs/cgroup/{controllers}"), "cpu.cfs_quota_us"
        else:
            continue
        for mount in mounts:
            quotas = (text_of(group / name).split() for group in upwards(root / mount, path))
            if any(quota and quota[0].isdigit() for quota in quotas):
                return True
    return False
