"""Runs one hook, and ends everything that it has started when its time is over.

A program of its own, started with `python -I -S` for each run. It adopts what its descendants
leave behind (`PR_SET_CHILD_SUBREAPER`), so that none escapes by a second fork or a new session, and
kills all of them when the time is over, or when the other end of a pipe is closed: the daemon has
stopped, or was killed. Only what runs as another user by then cannot be killed. Standard library
only.

    hook_process.py SECONDS PIPE COMMAND [ARGUMENT...]

Standard input is the hook's. On standard output one JSON object is written as soon as the command
has ended: `code`, `signal`, `timeout` or `error`, and `stderr`, the end of what it has printed.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import sys
import time

_PR_SET_CHILD_SUBREAPER = 36
_KEPT = 2048
_KILL_SECONDS = 5.0
_ROUND_SECONDS = 0.02
_NULL = "/dev/null"


def main(arguments: list[str]) -> int:
    """Run the command; return once nothing of it is left."""
    limit, pipe, command = float(arguments[0]), int(arguments[1]), arguments[2:]
    os.set_inheritable(pipe, False)
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    deadline = time.monotonic() + limit
    errors, written = os.pipe()
    os.set_blocking(errors, False)
    try:
        child = _spawn(command, written)
    except OSError as error:
        _answer({"error": error.strerror or str(error), "stderr": ""})
        return 0
    _let_go(written)
    return _watch(child, deadline, pipe, woken, errors)


def _spawn(command: list[str], errors: int) -> int:
    """Start the command in a session of its own.

    Raises:
        OSError: it cannot be started.
    """
    return os.posix_spawnp(
        command[0],
        command,
        os.environ,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 1, _NULL, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_DUP2, errors, 2),
        ],
        setsid=True,
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD],
    )


def _let_go(written: int) -> None:
    """Close everything that belongs to the hook, so that the ends of its pipes are noticed."""
    os.close(written)
    null = os.open(_NULL, os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)


def _watch(child: int, deadline: float, pipe: int, woken: int, errors: int) -> int:
    tail, answered, waits = b"", False, [pipe, woken, errors]
    while True:
        ready, _, _ = select.select(waits, [], [], max(0.0, deadline - time.monotonic()))
        if woken in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(woken, 4096)
        if errors in ready:
            data = _read(errors)
            tail = (tail + data)[-_KEPT:]
            if not data:
                waits.remove(errors)
        status, any_left = _reap(child)
        if status is not None and not answered:
            tail = (tail + _read(errors))[-_KEPT:]
            answered = True
            _answer({**_ending(status), "stderr": tail.decode(errors="replace")})
        if not any_left:
            return 0
        is_late = time.monotonic() >= deadline
        if is_late or pipe in ready:
            _kill_all()
            if is_late and not answered:
                _answer({"timeout": True, "stderr": tail.decode(errors="replace")})
            return 0


def _read(file: int) -> bytes:
    data = b""
    with contextlib.suppress(BlockingIOError):
        while piece := os.read(file, 65536):
            data = (data + piece)[-_KEPT:]
    return data


def _reap(child: int) -> tuple[int | None, bool]:
    """Reap ended processes; return the command's status (None: it runs), and if any is left."""
    status_of_command = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return status_of_command, False
        if not pid:
            return status_of_command, True
        if pid == child:
            status_of_command = status


def _ending(status: int) -> dict[str, int]:
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status)}
    return {"code": os.WEXITSTATUS(status)}


def _kill_all() -> None:
    """Kill every descendant, also those that are started meanwhile."""
    until = time.monotonic() + _KILL_SECONDS
    while time.monotonic() < until:
        for pid in descendants(os.getpid(), parents()):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if not _reap(0)[1]:
            return
        time.sleep(_ROUND_SECONDS)


def parents() -> dict[int, int]:
    """Return the parent of each process that can be seen."""
    parent_of = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with (
                contextlib.suppress(OSError, ValueError, IndexError),
                open(f"/proc/{name}/stat", "rb") as stat,
            ):
                parent_of[int(name)] = int(stat.read().rpartition(b")")[2].split()[1])
    return parent_of


def descendants(top: int, parent_of: dict[int, int]) -> list[int]:
    """Return the children of a process, their children and so on."""
    below, waiting = [], [top]
    while waiting:
        parent = waiting.pop()
        children = [pid for pid, above in parent_of.items() if above == parent]
        below.extend(children)
        waiting.extend(children)
    return below


def _answer(answer: dict[str, object]) -> None:
    with contextlib.suppress(OSError):
        os.write(1, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
