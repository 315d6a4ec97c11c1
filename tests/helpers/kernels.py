"""Kernels that lack something, made of this one by a seccomp filter of our own."""

from __future__ import annotations

import sys

_FILTER = """
import errno, os, sys
from checkpointd.worker import seccomp, syscalls
call, error, *command = sys.argv[1:]
machine = syscalls.this_machine()
rule = seccomp.CallRule(call, getattr(errno, error))
seccomp.install(machine, seccomp.build_filter(machine, [rule]))
os.execv(command[0], command)
"""


def without(call: str, error: str) -> list[str]:
    """What to put before a command, so that a system call fails for it and all it starts.

    Args:
        call: its name.
        error: the name of the `errno` that the kernel gives.
    """
    return [sys.executable, "-c", _FILTER, call, error]
