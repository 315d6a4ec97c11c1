"""The sandbox of a child, entered before it reads the first byte of a checkpoint; its self-test.

Landlock limits which files the child may open, seccomp which system calls it may make. What this
machine does not support is reported, and a setting decides whether a model is loaded without it.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Callable

from checkpointd.worker import landlock, seccomp, syscalls
from checkpointd.worker.access_rules import DEVICES
from checkpointd.worker.landlock import LandlockError
from checkpointd.worker.protocol import SandboxState
from checkpointd.worker.seccomp import SeccompError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from checkpointd.worker.access_rules import AccessRules, PathRule


def enter_child(access: AccessRules, sentinel: str, *, may_set_times: bool = False) -> SandboxState:
    """Apply the whole sandbox to this process, irrevocably, and test it.

    Args:
        access: what it may open.
        sentinel: a file that it may not open, for the self-test.
        may_set_times: it may set the times of files.

    Returns:
        What is active; never raises for what a kernel does not support.
    """
    abi = _version()
    state = _apply(
        access.rules,
        lambda version: seccomp.child_rules(
            os.getpid(),
            may_set_times=may_set_times,
            truncation=0 < version < landlock.TRUNCATES_SINCE,
        ),
        abi,
    )
    if state.missing:
        return state
    missing = self_test("" if access.allows_reading(sentinel) else sentinel)
    return SandboxState(state.landlock, state.seccomp, missing)


def enter_zygote(scratch: str) -> SandboxState:
    """Apply the sandbox of a zygote: it reads everything, writes its scratch, has no network."""
    rules = [("/", landlock.EVERYWHERE), (scratch, landlock.WRITE), *DEVICES]
    return _apply(rules, lambda _version: seccomp.zygote_rules(), _version())


def _version() -> int | str:
    """Return the version of Landlock, or a clause about what is missing."""
    machine = syscalls.this_machine()
    if machine is None:
        return f"the sandbox does not know this machine's system calls ({os.uname().machine})"
    try:
        return landlock.version(machine)
    except LandlockError as error:
        return str(error)


def _apply(
    rules: Iterable[PathRule],
    calls: Callable[[int], Sequence[seccomp.CallRule]],
    abi: int | str,
) -> SandboxState:
    machine = syscalls.this_machine()
    if machine is None:
        return SandboxState(missing=(str(abi),))
    missing: list[str] = []
    version, filtered = 0, False
    if isinstance(abi, str):
        missing.append(abi)
    else:
        try:
            landlock.restrict(machine, abi, rules)
            version = abi
        except LandlockError as error:
            missing.append(str(error))
    try:
        seccomp.install(machine, seccomp.build_filter(machine, calls(version)))
        filtered = True
    except SeccompError as error:
        missing.append(str(error))
    return SandboxState(version, filtered, tuple(missing))


def self_test(sentinel: str) -> tuple[str, ...]:
    """Try what must fail in a child; return what did not fail, as clauses.

    Args:
        sentinel: a file that may not be read or written, in a directory where nothing may be
            created; empty where the configuration allows access to it.
    """
    clauses = (_result(what, attempt) for what, attempt in _attempts(sentinel))
    return tuple(clause for clause in clauses if clause)


def _result(test: str, attempt: Callable[[], None]) -> str:
    try:
        attempt()
    except PermissionError:
        return ""
    except OSError as error:
        return f"the self-test could not find out whether {test} ({error})"
    return f"the self-test failed: {test}"


def _attempts(sentinel: str) -> list[tuple[str, Callable[[], None]]]:
    def opened(path: str, flags: int) -> Callable[[], None]:
        return lambda: os.close(os.open(path, flags, 0o600))

    def connected() -> None:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()

    files = [
        ("a foreign file could be read", opened(sentinel, os.O_RDONLY)),
        ("a foreign file could be written", opened(sentinel, os.O_WRONLY | os.O_APPEND)),
        (
            "a file could be made in a foreign directory",
            opened(f"{sentinel}-made", os.O_WRONLY | os.O_CREAT | os.O_EXCL),
        ),
    ]
    return [
        *(files if sentinel else ()),
        ("a socket could be made", connected),
        ("a process could be started", _forked),
    ]


def _forked() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
