"""Starts an interpreter for a zygote, and explains why one did not start.

The daemon's own interpreter, which is in memory already, executes the other one. The system call
that executes a file of a hung file system does not return: `subprocess` would wait for it in the
event loop, and from Python 3.13 on, where it calls `vfork` with the global lock held, in every
thread. A separate process can hang without harm.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from checkpointd.dispatch.environment import zygote_environment

if TYPE_CHECKING:
    from pathlib import Path

_EXECUTE = """
import os, sys
try:
    os.execv(sys.argv[2], sys.argv[2:])
except OSError as error:
    import json
    why = f"cannot be started ({error.strerror})"
    notice = {"kind": "ready", "can_fork": False, "message": why}
    os.write(int(sys.argv[1]), json.dumps(notice).encode())
"""


@dataclass(frozen=True)
class Launched:
    """An interpreter that was started for a zygote: its process, our end of its socket, its log."""

    process: subprocess.Popen[bytes]
    control: socket.socket
    log: IO[bytes]

    def close(self) -> None:
        """End it, unless it has ended already."""
        self.process.kill()
        self.control.close()
        self.log.close()


def launch(python: str, kind: str, scratch: Path, source: str = "", threads: int = 1) -> Launched:
    """Start a zygote; returns at once, whatever file system its interpreter is on.

    Must be called in a thread that lasts: the kernel kills a zygote when that thread ends.

    Args:
        python: the interpreter.
        kind: the zygote's stage.
        scratch: its working directory.
        source: directory to import checkpointd from in a foreign interpreter, or empty.
        threads: how many TensorFlow uses in its children.

    Raises:
        OSError: no process can be started.
    """
    with contextlib.ExitStack() as stack:
        log = stack.enter_context(tempfile.TemporaryFile(dir=scratch))
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        stack.enter_context(ours)
        with theirs:
            control = str(theirs.fileno())
            command = [python, "-m", "checkpointd.worker", kind, control, str(os.getpid())]
            if python != sys.executable:
                command = [sys.executable, "-I", "-S", "-c", _EXECUTE, control, *command]
            process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=scratch,
                env=zygote_environment(scratch, source, threads),
                start_new_session=True,
            )
        stack.pop_all()
    return Launched(process, ours, log)


async def wait_for_exit_code(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Return the exit code of an interpreter that has closed its end; None if it does not exit."""
    import asyncio  # `verify` starts an interpreter before it imports this itself

    deadline = time.monotonic() + seconds
    while True:
        code = process.poll()
        if code is not None or time.monotonic() > deadline:
            return code
        await asyncio.sleep(0.01)


def describe_exit(code: int | None, last_line: str) -> str:
    """Describe the end of an interpreter that never reported to be ready, as a clause.

    Args:
        code: as `Popen.returncode`; None if it is not known.
        last_line: of its output; empty if there is none.
    """
    if code is not None and code < 0:
        what = f"was killed by {signal.Signals(-code).name} during its imports"
    elif code:
        what = f"exited with code {code} and is not a working Python"
    else:
        what = "exited before it was ready, and is not a Python"
    return f"{what} (its last output: {last_line})" if last_line else what


def start_error_message(python: str, problem: str, *, load: bool, hung: bool = False) -> str:
    """Explain why there is no worker, and which line of the config to correct.

    Args:
        python: the interpreter.
        problem: a clause that begins with a verb.
        load: it was started to load checkpoints.
        hung: it may work, and did not answer in time.
    """
    clause = " ".join(problem.split())
    if python != sys.executable:
        return f'{python} {clause}: correct the line python = "{python}" in [watch.verify].'
    if hung:
        return (
            f"{python}, checkpointd's own interpreter, {clause}: see whether the file system that "
            "it is on answers. It is started again for the next checkpoint."
        )
    if load:
        return (
            f"{python}, checkpointd's own interpreter, {clause}: install TensorFlow there, or name "
            "the training job's interpreter as python in [watch.verify]."
        )
    return f"{python}, checkpointd's own interpreter, {clause}: install checkpointd again."
