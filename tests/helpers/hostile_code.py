"""User code that tries what no code in a sandbox may do, and says what came of each attempt.

Imported in a child as a check of the user's own; standard library only. What the attacks need to
know (`foreign`, `port`, `daemon`, `moved`) is in `target.json` beside this module.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import mmap
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_libc = ctypes.CDLL(None, use_errno=True)
_IMPORTED_BY = os.getpid()


def attack(context: Any) -> dict[str, Any]:
    """Try everything; the details say by the attack's name what came of it."""
    target = _target()
    found = {name: _tried(function) for name, function in _attacks(context.path, target).items()}
    return {
        "outcome": "pass",
        "details": {"attacks": found, "open": _open(), "at_home": _at_home()},
    }


def wait_until_replaced(context: Any) -> str:
    """Wait until something else lies where the checkpoint was, and try to read that."""
    moved, inode = _target()["moved"]
    for _ in range(2000):
        try:
            if os.stat(moved).st_ino != inode:
                return _tried(lambda: os.close(os.open(moved, os.O_RDONLY)))
        except FileNotFoundError:  # between the two renames
            pass
        time.sleep(0.005)
    return "it was never replaced"


def _raise(limit: int) -> None:
    _, hard = resource.getrlimit(limit)
    try:
        resource.setrlimit(limit, (hard + 1, hard + 1))
    except ValueError:  # Python's own word for EPERM
        raise PermissionError(errno.EPERM, "setrlimit") from None


def _at_home() -> bool:
    """Whether this very process has imported this module, and not the zygote it was forked from."""
    return os.getpid() == _IMPORTED_BY


def _target() -> dict[str, Any]:
    with open(os.path.join(os.path.dirname(__file__), "target.json"), encoding="utf-8") as file:
        found: dict[str, Any] = json.load(file)
    return found


def read_foreign(context: Any) -> None:
    """Read what lies in another directory."""
    with open(_target()["foreign"], encoding="utf-8") as file:
        file.read()


def _tried(function: Callable[[], Any]) -> str:
    try:
        function()
    except OSError as error:
        refused = error.errno in (errno.EPERM, errno.EACCES)
        return "refused" if refused else f"{type(error).__name__}: {error}"
    except subprocess.SubprocessError as error:
        return f"{type(error).__name__}: {error}"
    return "DONE"


def _call(name: str, *arguments: object) -> None:
    if getattr(_libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), name)


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _made(path: str, flags: int) -> None:
    os.close(os.open(path, flags, 0o600))


def _with_file(path: str, function: Callable[[int], Any]) -> None:
    with open(path, "rb") as file:
        function(file.fileno())


def _connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), timeout=2).close()


def _attacks(path: str, target: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    foreign, daemon, zygote = target["foreign"], target["daemon"], os.getppid()
    beside = os.path.dirname(path)
    machine = os.uname().machine
    return {
        "read a foreign file": lambda: _made(foreign, os.O_RDONLY),
        "write a foreign file": lambda: _made(foreign, os.O_WRONLY),
        "list the directory of the checkpoint": lambda: os.listdir(beside),
        "list the other workers' scratch": lambda: os.listdir(os.path.dirname(os.getcwd())),
        "read /etc/passwd": lambda: _made("/etc/passwd", os.O_RDONLY),
        "read the daemon's environment": lambda: _made(f"/proc/{daemon}/environ", os.O_RDONLY),
        "read the zygote's memory": lambda: _made(f"/proc/{zygote}/mem", os.O_RDONLY),
        "make a file beside it": lambda: _made(f"{path}.mark", os.O_WRONLY | os.O_CREAT),
        "make a directory beside it": lambda: os.mkdir(f"{path}.d"),
        "make a symlink beside it": lambda: os.symlink("/", f"{path}.link"),
        "make a FIFO in the scratch": lambda: os.mkfifo("fifo"),
        "hard link it": lambda: os.link(path, "linked"),
        "write it": lambda: _made(path, os.O_RDWR),
        "append to it": lambda: _made(path, os.O_WRONLY | os.O_APPEND),
        "truncate it": lambda: os.truncate(path, 0),
        "open it to be emptied": lambda: _made(path, os.O_RDONLY | os.O_TRUNC),
        "open it to be emptied, neither read nor written": lambda: _made(path, 3 | os.O_TRUNC),
        "rename it": lambda: os.rename(path, f"{path}.gone"),
        "unlink it": lambda: os.unlink(path),
        "chmod it": lambda: os.chmod(path, 0o640),
        "fchmod it": lambda: _with_file(path, lambda fd: os.fchmod(fd, 0o640)),
        "chown it": lambda: os.chown(path, os.getuid(), os.getgid()),
        "touch it": lambda: os.utime(path),
        "give it an attribute": lambda: os.setxattr(path, "user.mark", b"x"),
        "flock it": lambda: _with_file(path, lambda fd: fcntl.flock(fd, fcntl.LOCK_SH)),
        "lock it": lambda: _with_file(path, lambda fd: fcntl.lockf(fd, fcntl.LOCK_SH)),
        "lease it": lambda: _with_file(path, lambda fd: fcntl.fcntl(fd, 1024, 0)),
        "watch it": lambda: _call("inotify_init1", 0),
        "make a socket": lambda: socket.socket().close(),
        "make a Unix socket": lambda: socket.socket(socket.AF_UNIX).close(),
        "make a pair of sockets": socket.socketpair,
        "connect": lambda: _connect(target["port"]),
        "execute": lambda: os.execv(sys.executable, [sys.executable, "-c", ""]),  # noqa: S606 - an attack
        "run a program": lambda: subprocess.run(["/bin/true"], check=True),
        "spawn": lambda: os.posix_spawn("/bin/true", ["true"], {}),
        "fork": _fork,
        "signal the daemon": lambda: os.kill(daemon, signal.SIGKILL),
        "signal the zygote": lambda: os.kill(zygote, signal.SIGKILL),
        "signal everybody": lambda: os.kill(-1, signal.SIGKILL),
        "open a pidfd of the daemon": lambda: os.pidfd_open(daemon),
        "trace the zygote": lambda: _call("ptrace", 16, zygote, 0, 0),
        "limit the daemon": lambda: resource.prlimit(daemon, resource.RLIMIT_CORE, (0, 0)),
        "come before others": lambda: os.setpriority(os.PRIO_PROCESS, 0, 0),
        "be scheduled as others": lambda: os.sched_setscheduler(0, 0, os.sched_param(0)),
        "outlive the zygote": lambda: _call("prctl", 1, 0, 0, 0, 0),
        "have memory that is no data": lambda: os.memfd_create("x"),
        "have shared memory": lambda: mmap.mmap(-1, 4096),
        "have a stack of any size": lambda: mmap.mmap(
            -1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x0100
        ),
        "have more memory": lambda: _raise(resource.RLIMIT_DATA),
        "have a larger stack": lambda: _raise(resource.RLIMIT_STACK),
        "have larger files": lambda: _raise(resource.RLIMIT_FSIZE),
        "have its first place back": lambda: os.nice(-5),
        "have System V memory": lambda: _call("shmget", 0, 4096, 0o1600),
        "mount": lambda: _call("mount", b"none", b"/tmp", b"tmpfs", 0, None),
        "have a namespace": lambda: _call("unshare", 0x10000000),
        "change the root": lambda: os.chroot("."),
        "use io_uring": lambda: _call(
            "syscall", ctypes.c_long(425), 8, ctypes.c_char_p(b"\0" * 120)
        ),
        "use BPF": lambda: _call("syscall", ctypes.c_long(321 if machine == "x86_64" else 280), 0),
        "sync every disk": lambda: _call(
            "syscall", ctypes.c_long(162 if machine == "x86_64" else 81)
        ),
    }


def _open() -> list[str]:
    """What the descriptors of this process lead to."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{name}"))
        except OSError:  # the one of the listing itself
            continue
    return sorted(found)
