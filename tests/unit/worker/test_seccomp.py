"""The BPF programs of the sandbox, interpreted: what each call comes to on each architecture."""

from __future__ import annotations

import errno

import pytest

from checkpointd.worker import seccomp
from checkpointd.worker.syscalls import AARCH64, LAST_KNOWN, MACHINES, X86_64, Machine
from tests.helpers.bpf import interpret

PID = 4242
EPERM = 0x00050000 | errno.EPERM
ENOSYS = 0x00050000 | errno.ENOSYS
ENOTTY = 0x00050000 | errno.ENOTTY
ALLOW = seccomp.ALLOW
THREAD = 0x3D0F00  # the flags of glibc's pthread_create
FORK = 0x01200011
WRITE, EMPTY = 0o1, 0o1000

_REFUSED = """
    fork vfork execve execveat socket socketpair connect bind listen accept accept4 sendmsg
    sendmmsg tkill pidfd_send_signal pidfd_open pidfd_getfd ptrace process_vm_readv
    process_vm_writev kcmp mount umount2 fsopen fsmount move_mount open_tree mount_setattr unshare
    setns chroot pivot_root bpf perf_event_open userfaultfd io_uring_setup io_uring_enter
    io_uring_register add_key request_key keyctl inotify_init inotify_init1 inotify_add_watch
    fanotify_init init_module finit_module delete_module kexec_load reboot swapon swapoff
    settimeofday clock_settime adjtimex setpriority ioprio_set sched_setscheduler sched_setattr
    sched_setaffinity chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes
    futimesat utimensat setxattr fsetxattr removexattr link linkat mknod mknodat flock memfd_create
    shmget msgget semget mq_open sync
"""

machines = pytest.mark.parametrize("machine", MACHINES.values(), ids=MACHINES)


def outcome(machine: Machine, call: str, *arguments: int, **inner: bool) -> int:
    """What a child's filter makes of a call."""
    program = seccomp.build_filter(machine, seccomp.child_rules(PID, **inner))
    return interpret(program, machine.audit, machine.calls[call], arguments)


@machines
def test_a_forbidden_call_of_a_child_is_an_error(machine: Machine) -> None:
    """EPERM, and never a signal, of what the architecture has."""
    calls = [call for call in _REFUSED.split() if call in machine.calls]
    assert len(calls) > 70
    assert {call: outcome(machine, call) for call in calls} == dict.fromkeys(calls, EPERM)


@machines
@pytest.mark.parametrize(
    ("call", "arguments", "expected"),
    [
        ("clone", (THREAD,), ALLOW),
        ("clone", (FORK,), EPERM),
        ("clone", (THREAD | 0x00020000,), EPERM),  # CLONE_NEWNS, which root may ask for
        ("clone", (FORK | 0x10000 << 32,), EPERM),
        ("clone3", (), ENOSYS),
        ("openat2", (), ENOSYS),
        ("kill", (PID, 9), ALLOW),
        ("kill", (PID + (1 << 32), 9), ALLOW),  # the kernel takes the low word of a pid_t
        ("kill", (1, 9), EPERM),
        ("kill", (-1, 9), EPERM),
        ("kill", (0, 9), EPERM),
        ("tgkill", (PID, PID, 6), ALLOW),
        ("tgkill", (PID - 1, PID, 6), EPERM),
        ("rt_sigqueueinfo", (1, 9), EPERM),
        ("prlimit64", (0, 7), ALLOW),
        ("prlimit64", (PID, 7), ALLOW),
        ("prlimit64", (1, 7), EPERM),
        ("fcntl", (3, 1), ALLOW),  # F_GETFD
        ("fcntl", (3, 6), EPERM),  # F_SETLK
        ("fcntl", (3, 37), EPERM),  # F_OFD_SETLK
        ("fcntl", (3, 1024), EPERM),  # F_SETLEASE
        ("ioctl", (3, 0x5401), ALLOW),  # TCGETS, by which Python sees a terminal
        ("ioctl", (3, 0x5412), ENOTTY),  # TIOCSTI types into a terminal
        ("ioctl", (3, 0x40086602), ENOTTY),  # FS_IOC_SETFLAGS
        ("prctl", (15,), ALLOW),  # PR_SET_NAME
        ("prctl", (1,), EPERM),  # PR_SET_PDEATHSIG
        ("mmap", (0, 1, 3, 0x22), ALLOW),
        ("mmap", (0, 1, 3, 0x21), EPERM),  # shared memory, which no limit counts
        ("mmap", (0, 1, 3, 0x01), ALLOW),
        ("mmap", (0, 1, 3, 0x020022), ALLOW),  # MAP_STACK, as libc makes the stack of a thread
        ("mmap", (0, 1, 3, 0x0122), EPERM),  # MAP_GROWSDOWN, which no limit of data counts either
        ("mmap", (0, 1, 3, 0x0102), EPERM),
        ("openat", (-100, 0, 0), ALLOW),
        ("openat", (-100, 0, EMPTY), ALLOW),  # Landlock refuses truncation, or seccomp does
        ("truncate", (), ALLOW),
        ("read", (), ALLOW),
        ("futex", (), ALLOW),
        ("exit_group", (), ALLOW),
        ("landlock_restrict_self", (), ALLOW),
    ],
)
def test_a_call_depends_on_its_arguments(
    machine: Machine, call: str, arguments: tuple[int, ...], expected: int
) -> None:
    """Threads, its own signals and limits, and harmless questions remain."""
    assert outcome(machine, call, *arguments) == expected


@machines
@pytest.mark.parametrize(
    ("flags", "expected"),
    [(EMPTY, EPERM), (EMPTY | 3, EPERM), (EMPTY | WRITE, ALLOW), (EMPTY | 2, ALLOW), (0, ALLOW)],
)
def test_seccomp_refuses_truncation_where_landlock_cannot(
    machine: Machine, flags: int, expected: int
) -> None:
    """A file opened to be emptied but not to be written is one that Landlock 1 and 2 let pass."""
    assert outcome(machine, "openat", -100, 0, flags, truncation=True) == expected
    assert outcome(machine, "truncate", truncation=True) == EPERM
    if "open" in machine.calls:
        assert outcome(machine, "open", 0, flags, truncation=True) == expected


@machines
def test_a_copy_may_set_times_and_nothing_else(machine: Machine) -> None:
    """Only the child that makes a private copy gives it the times of the original."""
    assert outcome(machine, "utimensat", may_set_times=True) == ALLOW
    assert outcome(machine, "fchmodat", may_set_times=True) == EPERM


@machines
def test_calls_of_another_architecture_are_refused(machine: Machine) -> None:
    """Whatever their number: there it would mean another call."""
    program = seccomp.build_filter(machine, seccomp.child_rules(PID))
    for audit in (0x40000003, 0, *(m.audit for m in MACHINES.values() if m is not machine)):
        assert {interpret(program, audit, number) for number in range(LAST_KNOWN + 9)} == {EPERM}


def test_the_x32_calls_of_x86_64_are_refused() -> None:
    """They share the architecture's mark, and have a bit of their own in the number."""
    program = seccomp.build_filter(X86_64, seccomp.child_rules(PID))
    calls = [0x40000000 | number for number in range(600)]
    assert {interpret(program, X86_64.audit, number) for number in calls} == {EPERM}


@machines
def test_calls_newer_than_the_table_do_not_exist(machine: Machine) -> None:
    """A later kernel's calls could do anything; libraries do without what is ENOSYS."""
    program = seccomp.build_filter(machine, seccomp.child_rules(PID))
    assert interpret(program, machine.audit, LAST_KNOWN + 1) == ENOSYS
    assert interpret(program, machine.audit, 547) == ENOSYS


@machines
def test_a_zygote_forks_signals_and_passes_descriptors_but_has_no_network(
    machine: Machine,
) -> None:
    """Its layer must leave it what it is for."""
    program = seccomp.build_filter(machine, seccomp.zygote_rules())

    def made(call: str) -> int:
        return interpret(program, machine.audit, machine.calls[call], (FORK,))

    assert {made(call) for call in ("socket", "socketpair", "connect", "ptrace", "bpf")} == {EPERM}
    needed = ("clone", "clone3", "execve", "kill", "sendmsg", "recvmsg", "pidfd_open", "seccomp")
    assert {made(call) for call in needed} == {ALLOW}


@machines
def test_a_program_is_valid_for_the_kernel(machine: Machine) -> None:
    """Short enough, and every jump leads forward to an instruction that is there."""
    program = seccomp.build_filter(machine, seccomp.child_rules(PID, truncation=True))
    assert len(program) < 4096
    for at, (code, if_true, if_false, _) in enumerate(program):
        assert max(if_true, if_false) < 256
        if code in (0x15, 0x35):
            assert at + 1 + max(if_true, if_false) < len(program)
    assert program[-1][0] == 0x06


def test_no_two_calls_have_the_same_number() -> None:
    """A slip in the table would refuse one call and let another pass."""
    for machine in MACHINES.values():
        assert len(set(machine.calls.values())) == len(machine.calls)
        assert max(machine.calls.values()) <= LAST_KNOWN
    assert AARCH64.calls.keys() < X86_64.calls.keys()
