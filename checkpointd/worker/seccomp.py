"""Which system calls a process gives up irrevocably, as a BPF program for the kernel.

Loading a model is running a program: what it could do besides computing is refused here. A refused
call fails (EPERM; ENOSYS where a library then takes another way) and never raises a signal:
TensorFlow tries calls that it does not need. Sources: seccomp(2) and
include/uapi/linux/{filter,seccomp,audit}.h of Linux.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checkpointd.worker import libc, syscalls

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from checkpointd.worker.syscalls import Machine

Instruction = tuple[int, int, int, int]
"""Code, jump if true, jump if false, operand: `struct sock_filter`."""

ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_NUMBER, _ARCH, _ARGUMENTS = 0, 4, 16
_SET_MODE_FILTER, _TSYNC = 1, 1
_WORD = 0xFFFFFFFF

_CLONE_THREAD = 0x00010000
_NAMESPACES = 0x7E020000
_O_TRUNC = 0o1000
_NEITHER_READ_NOR_WRITE = 3
_SHARED, _ANONYMOUS, _GROWS_DOWN = 0x01, 0x20, 0x0100
_SHARED_ANONYMOUS = _SHARED | _ANONYMOUS
_UNCOUNTED = (
    *(_SHARED_ANONYMOUS, _SHARED_ANONYMOUS | _GROWS_DOWN),
    *(_GROWS_DOWN, _GROWS_DOWN | _SHARED, _GROWS_DOWN | _ANONYMOUS),
)
"""Memory that no limit of data counts: what is shared, and stacks (MAP_GROWSDOWN)."""
_LOCKS = (5, 6, 7, 36, 37, 38)  # F_GETLK, F_SETLK, F_SETLKW and those of open file descriptions
_OWNERS = (8, 10, 15, 1024, 1026)  # F_SETOWN, F_SETSIG, F_SETOWN_EX, F_SETLEASE, F_NOTIFY
_TERMINAL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451, 0x802C542A)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX, TCGETS2: queries and no more."""
_DEATH, _DUMPABLE, _PTRACER = 1, 4, 0x59616D61

_NETWORK = "socket socketpair connect bind listen accept accept4"
_SYSTEM = """
    ptrace process_vm_readv process_vm_writev process_madvise process_mrelease kcmp migrate_pages
    move_pages perf_event_open pidfd_getfd bpf userfaultfd io_uring_setup io_uring_enter
    io_uring_register add_key request_key keyctl modify_ldt ioperm iopl lookup_dcookie
    personality vhangup mount umount2 fsopen fsconfig fsmount fspick move_mount open_tree
    mount_setattr unshare setns chroot pivot_root swapon swapoff quotactl quotactl_fd
    open_by_handle_at name_to_handle_at reboot kexec_load kexec_file_load init_module
    finit_module delete_module settimeofday clock_settime clock_adjtime adjtimex sethostname
    setdomainname acct syslog nfsservctl inotify_init inotify_init1 inotify_add_watch
    fanotify_init fanotify_mark
"""
_PROCESS = """
    fork vfork execve execveat sendmsg sendmmsg tkill pidfd_send_signal pidfd_open
    get_robust_list sync syncfs setpriority ioprio_set sched_setparam sched_setscheduler
    sched_setattr sched_setaffinity chmod fchmod fchmodat fchmodat2 chown fchown lchown
    fchownat utime utimes futimesat utimensat setxattr lsetxattr fsetxattr removexattr
    lremovexattr fremovexattr link linkat mknod mknodat flock memfd_create memfd_secret
    shmget shmat shmctl shmdt semget semop semctl semtimedop msgget msgsnd msgrcv msgctl
    mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr io_setup io_submit
    io_destroy io_cancel io_getevents io_pgetevents
"""


class SeccompError(Exception):
    """A filter could not be installed; the text is a clause about what is missing."""


@dataclass(frozen=True)
class CallRule:
    """How one call is treated: it fails with `error`, always or depending on an argument.

    With `values`, it depends on the low word of `argument` under `mask` (what the kernel takes of
    an int): it fails when the value is among them, or with `unless` when it is not.
    """

    call: str
    error: int = errno.EPERM
    argument: int = 0
    values: tuple[int, ...] = ()
    mask: int = _WORD
    unless: bool = False


def zygote_rules() -> tuple[CallRule, ...]:
    """Return the rules of a zygote, which forks and communicates with its daemon: no network."""
    return _refused(_NETWORK + _SYSTEM)


def child_rules(
    pid: int, *, may_set_times: bool = False, truncation: bool = False
) -> tuple[CallRule, ...]:
    """Return the rules of a child.

    Args:
        pid: of the child, the only process that it may signal.
        may_set_times: it may set a file's times; otherwise no metadata at all.
        truncation: refuse what Landlock cannot before its third version: to truncate a file that
            is not opened for writing.
    """
    rules = [
        *(
            r
            for r in _refused(_NETWORK + _SYSTEM + _PROCESS)
            if not (may_set_times and r.call == "utimensat")
        ),
        CallRule("clone", values=(_CLONE_THREAD,), mask=_CLONE_THREAD | _NAMESPACES, unless=True),
        CallRule("clone3", errno.ENOSYS),  # its flags are in memory; libc falls back to clone
        CallRule("openat2", errno.ENOSYS),
        *(
            CallRule(call, values=(pid,), unless=True)
            for call in ("kill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo")
        ),
        CallRule("prlimit64", values=(0, pid), unless=True),
        CallRule("fcntl", argument=1, values=(*_LOCKS, *_OWNERS)),
        CallRule("ioctl", errno.ENOTTY, argument=1, values=_TERMINAL, unless=True),
        CallRule("prctl", values=(_DEATH, _DUMPABLE, _PTRACER)),
        CallRule("mmap", argument=3, values=_UNCOUNTED, mask=_SHARED_ANONYMOUS | _GROWS_DOWN),
    ]
    if truncation:
        emptied = {
            "values": (_O_TRUNC, _O_TRUNC | _NEITHER_READ_NOR_WRITE),
            "mask": _O_TRUNC | _NEITHER_READ_NOR_WRITE,
        }
        rules += [
            CallRule("truncate"),
            CallRule("open", argument=1, **emptied),  # type: ignore[arg-type]
            CallRule("openat", argument=2, **emptied),  # type: ignore[arg-type]
        ]
    return tuple(rules)


def _refused(calls: str) -> tuple[CallRule, ...]:
    return tuple(CallRule(call) for call in calls.split())


def build_filter(machine: Machine, rules: Iterable[CallRule]) -> tuple[Instruction, ...]:
    """Return the BPF program: calls without a rule are allowed, those of newer kernels are not."""
    refuse = _return(_ERRNO | errno.EPERM)
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, machine.audit),
        refuse,  # the calls of another architecture, such as int 0x80
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, 0x40000000),
        refuse,  # x32
        (_AT_LEAST, 0, 1, syscalls.LAST_KNOWN + 1),
        _return(_ERRNO | errno.ENOSYS),
    ]
    for rule in rules:
        number = machine.calls.get(rule.call)
        if number is not None:
            block = _block(rule)
            program += [(_EQUAL, 0, len(block), number), *block]
    return (*program, _return(ALLOW))


def _block(rule: CallRule) -> list[Instruction]:
    refuse = _return(_ERRNO | rule.error)
    if not rule.values:
        return [refuse]
    block = [(_LOAD, 0, 0, _ARGUMENTS + 8 * rule.argument)]
    if rule.mask != _WORD:
        block.append((_AND, 0, 0, rule.mask))
    count = len(rule.values)
    block += [(_EQUAL, count - i, 0, value) for i, value in enumerate(rule.values)]
    listed, other = (_return(ALLOW), refuse) if rule.unless else (refuse, _return(ALLOW))
    return [*block, other, listed]


def _return(value: int) -> Instruction:
    return (_RETURN, 0, 0, value)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install(machine: Machine, instructions: Sequence[Instruction]) -> None:
    """Install a filter for this process and all its threads, irrevocably.

    Raises:
        SeccompError: the kernel refuses it.
    """
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)
    filled = _Program(len(instructions), code)
    libc.set_no_new_privileges()
    done = libc.system_call(
        machine,
        "seccomp",
        ctypes.c_ulong(_SET_MODE_FILTER),
        ctypes.c_ulong(_TSYNC),
        ctypes.byref(filled),
    )
    if done == 0:
        return
    if done > 0:
        raise SeccompError("seccomp cannot restrict all threads of the process")
    raise SeccompError(_why(ctypes.get_errno()))


def _why(error: int) -> str:
    if error in (errno.ENOSYS, errno.EINVAL):
        return "this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER)"
    if error == errno.EPERM:
        return (
            "seccomp is blocked by another filter, such as a container's: allow the "
            "system call seccomp there"
        )
    return f"seccomp refuses the filter ({os.strerror(error)})"
