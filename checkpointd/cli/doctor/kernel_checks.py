"""Checks of what the kernel gives: inotify watches, the layers of the sandbox, the clock."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from checkpointd.cli.doctor.finding import NO_CONFIG, ok, problem, unknown, warning
from checkpointd.cli.service_account import run_as
from checkpointd.core.mounts import file_system, is_remote
from checkpointd.core.text import duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from checkpointd.cli.doctor.finding import Finding
    from checkpointd.cli.doctor.host import Host
    from checkpointd.worker.protocol import SandboxState

_INOTIFY = Path("/proc/sys/fs/inotify")
_LSM = Path("/sys/kernel/security/lsm")
_MAX_DIRECTORIES = 300_000
_MAX_SECONDS = 10.0
_MOST = 2
_SKEW_SECONDS = 60.0
_MAX_FILES = 5_000
_UNSYNCHRONISED = 5
_TIMEX_BYTES = 512
_TRIAL_SECONDS = 30.0
_SECCOMP_CURE = (
    "Landlock and a seccomp filter need a kernel with both. In a container they also need a "
    "seccomp profile that allows them, as the default ones of Kubernetes and of podman do."
)


def watch_limits(host: Host) -> Iterator[Finding]:
    """Whether the kernel watches as many directories as the roots have."""
    if host.config is None:
        yield unknown(*NO_CONFIG)
        return
    try:
        limit = int((_INOTIFY / "max_user_watches").read_text("ascii"))
    except (OSError, ValueError):
        yield warning("This kernel has no inotify.", "Nothing needs to be done: roots are polled.")
        return
    if not host.account.can_be_tried:
        yield unknown(f"How many of {limit:,} watches are needed.", host.needs_sudo)
        return
    paths = [
        str(watch.path)
        for watch in host.config.watch
        if not watch.bucket
        if watch.method == "inotify"
        or (watch.method == "auto" and not is_remote(file_system(str(watch.path))))
    ]
    needed = run_as(host.account, lambda: _directories(paths))
    facts = f"{needed:,} directories in the roots, {limit:,} inotify watches for each user"
    wanted = max(limit * 2, needed * 4)
    cure = (
        f"`echo fs.inotify.max_user_watches={wanted} | sudo tee /etc/sysctl.d/60-checkpointd.conf` "
        "and `sudo sysctl --system`."
    )
    if needed >= limit:
        yield problem(f"{facts}: the rest is only polled.", cure)
    elif needed > limit // _MOST:
        yield warning(f"{facts}: more than half are used.", cure)
    else:
        yield ok(facts)


def _directories(roots: list[str]) -> int:
    """The number of directories below roots, or as many as can be counted in a short time."""
    until, count, above = time.monotonic() + _MAX_SECONDS, 0, list(roots)
    while above and count < _MAX_DIRECTORIES and time.monotonic() < until:
        try:
            with os.scandir(above.pop()) as entries:
                count += 1
                above += [e.path for e in entries if e.is_dir(follow_symlinks=False)]
        except OSError:
            continue
    return count + len(above)


def sandbox(host: Host) -> Iterator[Finding]:
    """Which layers confine the workers, and which are missing here."""
    from checkpointd.worker import landlock
    from checkpointd.worker.syscalls import this_machine

    cure = (
        "Landlock needs Linux 5.13 and `landlock` among the security modules: boot with "
        '`lsm=landlock,...`. `checkpointd docs operations` has more under "Nothing is loaded".'
    )
    if host.status is not None and host.status.sandbox.is_known:
        status = host.status.sandbox
        level = problem if status.mode == "enforce" else warning
        yield level(status.problem, cure) if status.problem else ok(status.line)
        return
    machine = this_machine()
    if machine is None:
        architecture = os.uname().machine
        yield problem(f"The sandbox does not know {architecture}.", "Use x86_64 or aarch64.")
        return
    try:
        version = landlock.version(machine)
    except landlock.LandlockError as error:
        modules = _text_of(_LSM)
        active = f" The security modules are {modules}." if modules else ""
        yield problem(f"Without Landlock nothing is loaded: {error}.{active}", cure)
        return
    state = _sandbox_state()
    if state is None:
        yield warning(
            "The sandbox could not be tried: no directory for temporary files can be written.",
            "Set TMPDIR to one that can.",
        )
    elif state.missing:
        lacking = "; ".join(state.missing)
        yield problem(f"Without the whole sandbox nothing is loaded: {lacking}.", _SECCOMP_CURE)
    else:
        yield ok(f"Landlock version {version}, seccomp, self-test passed")


def _sandbox_state() -> SandboxState | None:
    """The state of a sandbox that was entered once; None where that could not be tried."""
    from checkpointd.core.decode import DecodeError
    from checkpointd.worker.protocol import decode_sandbox_state

    try:
        command = [sys.executable, "-m", "checkpointd.worker.sandbox_trial", tempfile.gettempdir()]
        done = subprocess.run(command, capture_output=True, timeout=_TRIAL_SECONDS, check=False)
        return decode_sandbox_state(done.stdout)
    except (OSError, DecodeError, subprocess.SubprocessError):
        return None


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace").strip()
    except OSError:
        return ""


def clock(host: Host) -> Iterator[Finding]:
    """Whether the clock is synchronised, and agrees with the times of the files in the roots."""
    is_fine = True
    if host.config is not None and host.account.can_be_tried:
        for watch in host.config.watch:
            newest, path = run_as(host.account, partial(_newest, str(watch.path)))
            ahead = newest - time.time()
            if ahead > _SKEW_SECONDS:
                is_fine = False
                yield warning(
                    f"{watch.name}: {path} was saved {duration(ahead)} in the future: the clock of "
                    "this host, or of the one that writes, is wrong.",
                    "Synchronise both: `timedatectl set-ntp true`.",
                )
    state = _clock_state()
    if state == _UNSYNCHRONISED:
        yield warning(
            "The kernel reports that its clock is not synchronised.",
            "`timedatectl` shows more; in a container or a virtual machine the host may do it.",
        )
    elif is_fine:
        yield ok("synchronised" if state is not None else "agrees with the files")


def _clock_state() -> int | None:
    """What adjtimex(2) returns: 5 if the clock is not synchronised; None if it is not known."""
    try:
        call = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    state: int = call(ctypes.create_string_buffer(_TIMEX_BYTES))
    return state if state >= 0 else None


def _newest(root: str) -> tuple[float, str]:
    """The latest modification time in a root, and that file; looks at a limited number of files."""
    left, above, newest = _MAX_FILES, [root], (0.0, root)
    while above and left > 0:
        try:
            with os.scandir(above.pop()) as entries:
                for entry in entries:
                    left -= 1
                    if entry.is_dir(follow_symlinks=False):
                        above.append(entry.path)
                    newest = max(newest, (entry.stat(follow_symlinks=False).st_mtime, entry.path))
        except OSError:
            continue
    return newest
