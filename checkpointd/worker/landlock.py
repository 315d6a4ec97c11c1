"""What a process may open, as a Landlock ruleset: a kernel sandbox that needs no privileges.

A rule is for a file or directory itself, not for its name: a file that replaces it is another.
Source: include/uapi/linux/landlock.h and Documentation/userspace-api/landlock.rst of Linux.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import struct
from typing import TYPE_CHECKING

from checkpointd.worker.libc import set_no_new_privileges, system_call

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.worker.syscalls import Machine

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_DIR, REMOVE_FILE, MAKE_DIR, MAKE_REG, MAKE_SYM = 1 << 4, 1 << 5, 1 << 7, 1 << 8, 1 << 12
REFER, TRUNCATE, IOCTL_DEV = 1 << 13, 1 << 14, 1 << 15

READ = READ_FILE | READ_DIR
WRITE = (
    READ | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | MAKE_SYM | REFER | TRUNCATE
)
EVERYWHERE = EXECUTE | READ
_OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV

TRUNCATES_SINCE = 3
"""The version that can refuse truncation; before it, seccomp has to."""

_FILES_OF = ((1, (1 << 13) - 1), (2, REFER), (3, TRUNCATE), (5, IOCTL_DEV))
_NETWORK_SINCE, _NETWORK = 4, 0b11
_SCOPES_SINCE, _SCOPES = 6, 0b11
_LOGS_SINCE, _NOT_LOGGED = 7, 1
_VERSION, _PATH_BENEATH = 1, 1


class LandlockError(Exception):
    """A ruleset could not be applied; the text is a clause about what is missing."""


def supported_rights(abi: int) -> tuple[int, int, int]:
    """Return everything that a version can refuse: access to files, to the network, and scopes."""
    files = 0
    for since, rights in _FILES_OF:
        files |= rights if abi >= since else 0
    return (
        files,
        _NETWORK if abi >= _NETWORK_SINCE else 0,
        _SCOPES if abi >= _SCOPES_SINCE else 0,
    )


def version(machine: Machine) -> int:
    """Return the version of Landlock of this kernel.

    Raises:
        LandlockError: it has none, or does not allow it.
    """
    abi = system_call(machine, "landlock_create_ruleset", None, ctypes.c_size_t(0), _VERSION)
    if abi < 1:
        raise LandlockError(_why(ctypes.get_errno()))
    return abi


def restrict(machine: Machine, abi: int, rules: Iterable[tuple[str, int]]) -> None:
    """Refuse this thread, and what it starts from now on, everything that the rules do not allow.

    Args:
        machine: this one.
        abi: the version to use.
        rules: paths, and what is allowed there and below; paths that do not exist are ignored.

    Raises:
        LandlockError: the kernel refuses it, or this process has other threads, which would
            not be restricted.
    """
    try:
        alone = len(os.listdir("/proc/self/task")) == 1
    except OSError as error:
        raise LandlockError(f"its own threads cannot be counted ({error})") from None
    if not alone:
        raise LandlockError("the process already has threads that Landlock would not restrict")
    files, network, scopes = supported_rights(abi)
    wanted = struct.pack("=QQQ", files, network, scopes)
    size = 8 if abi < _NETWORK_SINCE else 16 if abi < _SCOPES_SINCE else 24
    ruleset = system_call(
        machine, "landlock_create_ruleset", ctypes.c_char_p(wanted), ctypes.c_size_t(size), 0
    )
    if ruleset < 0:
        raise LandlockError(_why(ctypes.get_errno()))
    try:
        for path, access in rules:
            _allow(machine, ruleset, path, access & files)
        set_no_new_privileges()
        # A refusal is an error for the caller; the audit log would contain each self-test as well.
        quiet = _NOT_LOGGED if abi >= _LOGS_SINCE else 0
        if system_call(machine, "landlock_restrict_self", ctypes.c_int(ruleset), quiet) != 0:
            raise LandlockError(_why(ctypes.get_errno()))
    finally:
        os.close(ruleset)


def _allow(machine: Machine, ruleset: int, path: str, access: int) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:  # it does not exist, or cannot be opened anyway
        return
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, beneath)
        if not stat.S_ISDIR(os.fstat(beneath).st_mode):
            access &= _OF_FILES
        if not access:
            return
        rule = ctypes.c_char_p(struct.pack("=Qi", access, beneath))
        done = system_call(
            machine, "landlock_add_rule", ctypes.c_int(ruleset), _PATH_BENEATH, rule, 0
        )
        if done != 0 and ctypes.get_errno() != errno.EBADFD:  # a pipe, or the like, needs no rule
            raise LandlockError(_why(ctypes.get_errno()))


def _why(error: int) -> str:
    if error == errno.EOPNOTSUPP:
        return (
            "Landlock is switched off: add landlock to lsm= on the kernel's command line "
            "(CONFIG_LSM)"
        )
    if error == errno.ENOSYS:
        return (
            "this kernel has no Landlock (Linux 5.13 or newer with CONFIG_SECURITY_LANDLOCK), or "
            "a container's seccomp filter hides it"
        )
    if error == errno.EPERM:
        return (
            "Landlock is blocked by a seccomp filter, such as a container's: allow the system "
            "calls landlock_create_ruleset, landlock_add_rule and landlock_restrict_self there"
        )
    if error == errno.E2BIG:
        return "Landlock is already applied in too many layers"
    return f"Landlock refuses the ruleset ({os.strerror(error)})"
