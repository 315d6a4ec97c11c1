"""Calls of the C library that Python does not wrap."""

from __future__ import annotations

import ctypes
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from checkpointd.worker.syscalls import Machine

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long


def system_call(machine: Machine, name: str, *arguments: object) -> int:
    """Make a system call; -1 is an error, with `ctypes.get_errno()`."""
    return int(LIBC.syscall(ctypes.c_long(machine.calls[name]), *arguments))


def set_death_signal() -> None:
    """Have the kernel kill this process when its parent ends."""
    LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def set_no_new_privileges() -> None:
    """Gain no privileges by executing a program; needed before Landlock and seccomp."""
    LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def hide_from_other_processes() -> None:
    """Let no other process of the same user trace this one or read its memory."""
    LIBC.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
