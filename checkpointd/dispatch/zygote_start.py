"""Starts an interpreter for a zygote, and explains why one did not start.

The daemon's own interpreter, which is in memory already, executes the other one. The system call
that executes a file of a hung file system does not return: `subprocess` would wait for it in the
event loop, and from Python 3.13 on, where it calls `vfork` with the global lock held, in every
thread. A separate process can hang without harm.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
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


def launch(
    python: str,
    kind: str,
    control: int,
    log: IO[bytes],
    scratch: Path,
    source: str,
    threads: int = 1,
) -> subprocess.Popen[bytes]:
    """Start a zygote; returns at once, whatever file system its interpreter is on.

    Must be called in a thread that lasts: the kernel kills a zygote when that thread ends.

    Args:
        python: the interpreter.
        kind: the zygote's stage.
        control: descriptor of its end of the control socket.
        log: file for its output.
        scratch: its working directory.
        source: directory to import checkpointd from in a foreign interpreter, or empty.
        threads: how many TensorFlow uses in its children.

    Raises:
        OSError: no process can be started.
    """
    zygote = [python, "-m", "checkpointd.worker", kind, str(control), str(os.getpid())]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _EXECUTE, str(control), *zygote],
        pass_fds=[control],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        cwd=scratch,
        env=zygote_environment(scratch, source, threads),
        start_new_session=True,
    )


async def wait_for_exit_code(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """Return the exit code of an interpreter that has closed its end; None if it does not exit."""
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


def start_error_message(python: str, what: str, *, load: bool) -> str:
    """Explain why there is no worker, and which line of the config to correct.

    Args:
        python: the interpreter.
        what: a clause that begins with a verb.
        load: it was started to load checkpoints.
    """
    clause = " ".join(what.split())
    if python != sys.executable:
        return f'{python} {clause}: correct the line python = "{python}" in [watch.verify].'
    if load:
        return (
            f"{python}, checkpointd's own interpreter, {clause}: install TensorFlow there, or name "
            "the training job's interpreter as python in [watch.verify]."
        )
    return f"{python}, checkpointd's own interpreter, {clause}: install checkpointd again."
