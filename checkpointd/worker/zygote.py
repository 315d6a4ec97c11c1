"""The zygote: imports once, then forks a child for each request, and reports how each one ended.

It starts no thread and never runs a TensorFlow op, so that forking stays safe. Before it imports
anything it gives up the network and all writing outside its scratch, which is its working
directory; its children give up more (see `sandbox`). Only children import user code. Python 3.9.
"""

from __future__ import annotations

import gc
import json
import os
import select
import signal
import socket
import sys
import time
import warnings
from typing import TYPE_CHECKING

from checkpointd.core.encode import to_json
from checkpointd.worker import child, limits, protocol, sandbox, sandbox_trial
from checkpointd.worker.protocol import ForkRequest, Notice

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

_TRIAL_FORK_SECONDS = 20.0


def main(stage: str, control: socket.socket, parent: int) -> int:
    """Serve fork requests until the daemon closes its end; return the exit code.

    Args:
        stage: `scan` or `load`: what to import.
        control: the zygote's end of a SOCK_SEQPACKET pair.
        parent: the daemon's pid; the zygote ends together with it.
    """
    limits.die_with_parent(parent)
    limits.lower_priority(idle=False)
    limits.prefer_for_oom_kill()
    sandbox.enter_zygote(os.getcwd())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    try:
        environment = _preload(stage)
    except Exception as error:  # noqa: BLE001 - whatever an import raises, the daemon reports it
        message = _import_error_clause(error)[:4000]
        control.send(protocol.encode(Notice("ready", can_fork=False, message=message)))
        return 1
    gc.collect()
    gc.freeze()
    can_fork = _can_fork()
    state = sandbox_trial.try_sandbox(os.getcwd()) if can_fork else None
    ready = Notice("ready", can_fork=can_fork, environment=environment, sandbox=state)
    control.send(protocol.encode(ready))
    _serve(control)
    return 0


def _preload(stage: str) -> Mapping[str, str]:
    python = ".".join(str(part) for part in sys.version_info[:3])
    if stage == protocol.LOAD:
        from checkpointd.verify.load import runtime

        environment = runtime.preload()
        from checkpointd.verify.load import load_stage

        del load_stage
        return {**environment, "python": python}
    from checkpointd.tensors import bundle, hdf5, keras_zip
    from checkpointd.verify.scan import inspect, scan_stage
    from checkpointd.verify.scan.diff import comparison
    from checkpointd.worker import copying

    del bundle, comparison, copying, hdf5, inspect, keras_zip, scan_stage
    return {"python": python}


def _import_error_clause(error: Exception) -> str:
    """Explain an error of the imports, as a clause that begins with a verb."""
    if isinstance(error, ModuleNotFoundError) and error.name == "tensorflow":
        return "has no TensorFlow, and no Keras 3 with JAX or torch"
    return f"cannot import what it needs ({type(error).__name__}: {error})"


def _can_fork() -> bool:
    """Whether a forked child exits: the threads of a library could prevent it."""
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    deadline = time.monotonic() + _TRIAL_FORK_SECONDS
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.001)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False


def _become(connection: socket.socket, request: ForkRequest, stderr: int) -> NoReturn:
    """Turn into the child of a request, in an interpreter that has imported nothing yet.

    Landlock would not restrict the threads that exist after an import.
    """
    for descriptor in (connection.fileno(), stderr):
        os.set_inheritable(descriptor, True)
    arguments = [str(connection.fileno()), str(stderr), json.dumps(to_json(request.limits))]
    command = [sys.executable, "-m", "checkpointd.worker", "become", *arguments, str(os.getppid())]
    os.execv(sys.executable, command)  # noqa: S606 - the same interpreter, without a shell


def _status_of(pid: int) -> list[int]:
    """Open a child's status file, before the child makes itself invisible (ProtectProc)."""
    try:
        return [os.open(f"/proc/{pid}/status", os.O_RDONLY | os.O_CLOEXEC)]
    except OSError:
        return []


def _serve(control: socket.socket) -> None:
    children: dict[int, tuple[int, int]] = {}
    poll = select.poll()
    poll.register(control, select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor in children:
                number, pid = children.pop(descriptor)
                poll.unregister(descriptor)
                _, status = os.waitpid(pid, 0)
                os.close(descriptor)
                control.send(protocol.encode(Notice("exited", number, pid, status)))
                continue
            data, fds, _, _ = socket.recv_fds(control, protocol.MAX_DATAGRAM, 2)
            if not data:
                return
            request = protocol.decode_fork_request(data)
            connection = socket.socket(fileno=fds[0])
            parent = os.getpid()
            if request.become:
                control.close()
                _become(connection, request, fds[1])
            gate, start = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(start)
                os.read(gate, 1)
                os.close(gate)
                control.close()
                for other in children:
                    os.close(other)
                child.run(connection, fds[1], request.limits, parent)
            status_fds = _status_of(pid)
            os.close(start)
            os.close(gate)
            connection.close()
            os.close(fds[1])
            pidfd = os.pidfd_open(pid)
            children[pidfd] = (request.number, pid)
            poll.register(pidfd, select.POLLIN)
            notice = protocol.encode(Notice("forked", request.number, pid))
            socket.send_fds(control, [notice], [pidfd, *status_fds])
            for status_fd in status_fds:
                os.close(status_fd)
