"""What a child gives up before it reads the first byte of a checkpoint.

Issue: the trainer must not notice us. So a child has the lowest CPU and I/O priority, is the
first that the kernel kills when memory is short, and dies with its parent.
Standard library only, Python 3.9.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import platform
import resource
import signal
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from checkpointd.worker.protocol import Limits

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_IOPRIO_SET = {"x86_64": 251, "aarch64": 30}
_IOPRIO_IDLE = 3 << 13
_MOST_OPEN = 16384
"""Open files: TensorFlow holds every shard of a checkpoint open, and there may be thousands."""

_MOST_STACK = 64 << 20
"""Of the first thread; no other limit counts it."""

_KEPT_CAPABILITIES = 1 << 1 | 1 << 2
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: root reads what others have saved for themselves."""

_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its parent ends.

    Args:
        parent: the pid that the parent had when it forked; if it is gone already, end now.
    """
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)


def lower_priority(*, idle: bool) -> None:
    """Take the lowest CPU and I/O priority; `idle` runs only when nobody else wants to."""
    with contextlib.suppress(OSError):
        os.nice(19)
    with contextlib.suppress(OSError):
        policy = os.SCHED_IDLE if idle else os.SCHED_BATCH
        os.sched_setscheduler(0, policy, os.sched_param(0))
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        _libc.syscall(number, 1, 0, _IOPRIO_IDLE)


def prefer_for_oom_kill() -> None:
    """Be what the kernel kills first when memory is short, with all children."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def confine(limits: Limits) -> None:
    """Bound memory, CPU time, files and their size, and give up privileges, those of root too.

    Only effects on this process; a limit that the system refuses because it is already lower is
    left as it is.
    """
    for which, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, limits.cpu_seconds),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_DATA, limits.data_bytes),
        (resource.RLIMIT_NOFILE, _MOST_OPEN),
        (resource.RLIMIT_STACK, _stack()),
    ):
        _, hard = resource.getrlimit(which)
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(which, (bound, hard if which == resource.RLIMIT_CPU else bound))
    _drop_capabilities()
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def _stack() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_STACK)
    return _MOST_STACK if soft == resource.RLIM_INFINITY else min(soft, _MOST_STACK)


def _drop_capabilities() -> None:
    """Keep of root's capabilities only those to read files: limits bind nobody who has them all.

    Source: capget(2); linux/capability.h.
    """
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    held = (ctypes.c_uint32 * 6)()
    if _libc.capget(header, held) != 0:
        return
    for low in range(3):  # effective, permitted, inheritable; then the upper halves of each
        held[low] &= _KEPT_CAPABILITIES
        held[low + 3] = 0
    _libc.capset(header, held)
