"""How many threads a library may use, with quotas of control groups; how long cores were busy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from checkpointd.dispatch import host_cores
from checkpointd.dispatch.environment import zygote_environment

if TYPE_CHECKING:
    from pathlib import Path

UNIT = "sys/fs/cgroup/system.slice/checkpointd.service"


def machine(root: Path, files: dict[str, str]) -> Path:
    """Make the files of a machine."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("files", "has_quota"),
    [
        ({}, False),
        (
            {
                "proc/self/cgroup": "0::/system.slice/checkpointd.service\n",
                f"{UNIT}/cpu.max": "max 100000\n",
            },
            False,
        ),
        (
            {  # the slice above has one
                "proc/self/cgroup": "0::/system.slice/checkpointd.service\n",
                f"{UNIT}/cpu.max": "max 100000\n",
                "sys/fs/cgroup/system.slice/cpu.max": "400000 100000\n",
            },
            True,
        ),
        (
            {  # a container: the path of the host is not there, the root is its own
                "proc/self/cgroup": "0::/kubepods/pod1/abc\n",
                "sys/fs/cgroup/cpu.max": "150000 100000\n",
            },
            True,
        ),
        (
            {  # the first version, where both controllers share a mount
                "proc/self/cgroup": "4:cpu,cpuacct:/docker/1\n3:cpuset:/\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us": "50000\n",
            },
            True,
        ),
        (
            {  # the first version without a limit
                "proc/self/cgroup": "1:cpu:/\n0::/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            },
            False,
        ),
    ],
)
def test_threads_are_one_for_each_core_unless_cpu_time_is_rationed(
    tmp_path: Path, files: dict[str, str], *, has_quota: bool
) -> None:
    """What an idle core does for a child would be taken from a quota that the job may share."""
    root = machine(tmp_path, files)
    cores = min(16, len(os.sched_getaffinity(0)))
    assert host_cores.usable_threads("auto", root) == (1 if has_quota else cores)
    assert host_cores.usable_threads(3, root) == 3


def test_busy_time_is_that_of_the_cores_that_the_process_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In ticks of the kernel's clock: user, nice, system, interrupts, and what a host took."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {1, 10})
    monkeypatch.setattr(os, "sysconf", lambda _name: 100)
    rows = (
        "cpu  0 0 0 0 0 0 0 0 0 0",  # lxcfs 4.0.3 begins with such a line
        "cpu  9 9 9 9999 9 0 0 0 0 0",
        "cpu0 5 5 5 700 70 0 0 0 0 0",
        "cpu1 100 20 3 8317131874320235395 50 4 5 0 90 10",
        "cpu10 200 0 0 300 0 0 0 68 0 0",
        "intr 1 2 3",
    )
    root = machine(tmp_path, {"proc/stat": "\n".join(rows)})
    assert host_cores.busy_seconds(root) == (2, 4.0)
    assert host_cores.busy_seconds(tmp_path / "elsewhere") == (0, 0.0)


def test_tensorflow_uses_as_many_threads_as_it_is_given(tmp_path: Path) -> None:
    """They are environment variables, which TensorFlow reads when it runs its first op."""
    made = zygote_environment(tmp_path, "", 3)
    assert made["TF_NUM_INTRAOP_THREADS"] == made["TF_NUM_INTEROP_THREADS"] == "3"
    assert zygote_environment(tmp_path, "")["TF_NUM_INTRAOP_THREADS"] == "1"
