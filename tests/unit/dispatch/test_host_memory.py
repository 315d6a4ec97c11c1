"""How much memory a machine can spare, by its kernel and its control groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from checkpointd.dispatch import host_memory

if TYPE_CHECKING:
    from pathlib import Path

GIB = 1 << 30


def machine(root: Path, available: int, files: dict[str, str] | None = None) -> Path:
    """Make the files of a machine of 64 GiB with so many GiB available."""
    meminfo = f"MemTotal: {64 << 20} kB\nMemFree: 1 kB\nMemAvailable: {available << 20} kB\n"
    for name, text in {"proc/meminfo": meminfo, **(files or {})}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


UNIT = "sys/fs/cgroup/system.slice/checkpointd.service"
V1 = "sys/fs/cgroup/memory/slurm/job_7"
RESERVE = host_memory.reserve(64 * GIB)


@pytest.mark.parametrize(
    ("files", "spare"),
    [
        ({}, 32 * GIB - RESERVE),
        (
            {  # systemd, with MemoryHigh= below MemoryMax=; the slice above has no limit
                "proc/self/cgroup": "0::/system.slice/checkpointd.service\n",
                f"{UNIT}/memory.max": f"{12 * GIB}\n",
                f"{UNIT}/memory.high": f"{10 * GIB}\n",
                f"{UNIT}/memory.current": f"{3 * GIB}\n",
                f"{UNIT}/memory.stat": f"anon {GIB}\ninactive_file {2 * GIB}\nactive_file 0\n",
                "sys/fs/cgroup/system.slice/memory.max": "max\n",
                "sys/fs/cgroup/system.slice/memory.current": "5\n",
            },
            9 * GIB - host_memory.reserve(10 * GIB),
        ),
        (
            {  # the slice is tighter than the unit
                "proc/self/cgroup": "0::/system.slice/checkpointd.service\n",
                f"{UNIT}/memory.max": "max\n",
                f"{UNIT}/memory.current": "9\n",
                "sys/fs/cgroup/system.slice/memory.max": f"{8 * GIB}\n",
                "sys/fs/cgroup/system.slice/memory.current": f"{GIB}\n",
            },
            7 * GIB - host_memory.reserve(8 * GIB),
        ),
        (
            {  # a container: the path of the host is not there, the root is ours
                "proc/self/cgroup": "0::/kubepods/pod1/abc\n",
                "sys/fs/cgroup/memory.max": f"{4 * GIB}\n",
                "sys/fs/cgroup/memory.current": f"{GIB}\n",
            },
            3 * GIB - host_memory.reserve(4 * GIB),
        ),
        (
            {  # the first version, beside the second without controllers
                "proc/self/cgroup": "4:cpu,memory:/slurm/job_7\n0::/\n",
                f"{V1}/memory.limit_in_bytes": f"{16 * GIB}\n",
                f"{V1}/memory.usage_in_bytes": f"{8 * GIB}\n",
                f"{V1}/memory.stat": f"total_inactive_file {GIB}\ninactive_file 5\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "7\n",
            },
            9 * GIB - host_memory.reserve(16 * GIB),
        ),
        (
            {  # a machine that promises no more than it has
                "proc/sys/vm/overcommit_memory": "2\n",
                "proc/meminfo": f"MemTotal: {64 << 20} kB\nMemAvailable: {60 << 20} kB\n"
                f"CommitLimit: {32 << 20} kB\nCommitted_AS: {30 << 20} kB\n",
            },
            2 * GIB,
        ),
        ({"proc/meminfo": ""}, 0),
    ],
)
def test_a_machine_can_spare_the_least_of_its_limits(
    tmp_path: Path, files: dict[str, str], spare: int
) -> None:
    """The least of its own and what each control group leaves, without the page cache."""
    assert host_memory.available_bytes(machine(tmp_path, 32, files)) == spare


def test_a_machine_without_free_memory_can_spare_nothing(tmp_path: Path) -> None:
    """The reserve is for the training job."""
    assert host_memory.available_bytes(machine(tmp_path, 1)) == 0


def test_the_memory_of_this_machine_can_be_read() -> None:
    """With whatever kernel and control groups it has."""
    assert 0 <= host_memory.available_bytes() < 1 << 50
    assert host_memory.oom_kills() >= 0
