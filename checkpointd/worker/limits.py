"""Resource limits and priorities of a child, set before it reads the first byte of a checkpoint.

The training job must not be slowed down. So a child has the lowest CPU and I/O priority, is the
first that the kernel kills when memory is short, and dies with its parent.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
from pathlib import Path
from typing import TYPE_CHECKING

from checkpointd.worker import libc, syscalls

if TYPE_CHECKING:
    from checkpointd.worker.protocol import ChildLimits

_IOPRIO_IDLE = 3 << 13
_MAX_OPEN = 16384
"""Open files: TensorFlow keeps every shard of a checkpoint open, and there may be thousands."""

_MAX_STACK = 64 << 20
"""Stack of the first thread; no other limit counts it."""

_KEPT_CAPABILITIES = 1 << 1 | 1 << 2
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: root reads files that only their owners may read."""

_CAPABILITY_VERSION_3 = 0x20080522


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends.

    Args:
        parent: the pid of the parent when it forked; if it has ended already, exit now.
    """
    libc.set_death_signal()
    if os.getppid() != parent:
        os._exit(0)


def lower_priority(*, idle: bool) -> None:
    """Take the lowest CPU and I/O priority; with `idle`, run only on cores that are idle."""
    with contextlib.suppress(OSError):
        os.nice(19)
    with contextlib.suppress(OSError):
        policy = os.SCHED_IDLE if idle else os.SCHED_BATCH
        os.sched_setscheduler(0, policy, os.sched_param(0))
    machine = syscalls.this_machine()
    if machine is not None:
        libc.system_call(machine, "ioprio_set", 1, 0, _IOPRIO_IDLE)


def prefer_for_oom_kill() -> None:
    """Make this process and its children the first that the kernel kills when memory is short."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def apply_limits(limits: ChildLimits) -> None:
    """Limit memory, CPU time, files and their size, and drop privileges, also those of root.

    A limit that the system refuses, because it is already lower, stays as it is.
    """
    for which, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_DATA, limits.data_bytes),
        (resource.RLIMIT_NOFILE, _MAX_OPEN),
        (resource.RLIMIT_STACK, _stack()),
    ):
        _, hard = resource.getrlimit(which)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(which, (bound, hard if which == resource.RLIMIT_CPU else bound))
    _drop_capabilities()
    libc.set_no_new_privileges()
    libc.hide_from_other_processes()


def _stack() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_STACK)
    return _MAX_STACK if soft == resource.RLIM_INFINITY else min(soft, _MAX_STACK)


def _drop_capabilities() -> None:
    """Keep only root's capabilities to read files: limits do not apply to a process with all.

    Source: capget(2); linux/capability.h.
    """
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    capabilities = (ctypes.c_uint32 * 6)()
    if libc.LIBC.capget(header, capabilities) != 0:
        return
    for low in range(3):  # effective, permitted, inheritable; then the upper halves of each
        capabilities[low] &= _KEPT_CAPABILITIES
        capabilities[low + 3] = 0
    libc.LIBC.capset(header, capabilities)
