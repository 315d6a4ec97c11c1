"""The child: reads one job, enters its sandbox, runs one stage, answers line by line.

A spare enters its sandbox and warms up before there is a checkpoint; see `_wait_warm`.
Python 3.9; what a stage imports is imported by the zygote beforehand.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import time
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO, Callable, NoReturn

from checkpointd.core import decode
from checkpointd.core.check_result import CheckResult, failed, skipped
from checkpointd.core.encode import to_json
from checkpointd.core.memory_errors import MEMORY
from checkpointd.core.report import Facts
from checkpointd.core.request import End, Request
from checkpointd.formats import generation_of
from checkpointd.verify.user_code import CONFINED
from checkpointd.worker import access_rules, protocol, sandbox
from checkpointd.worker import limits as confinement

if TYPE_CHECKING:
    import socket

    from checkpointd.worker.protocol import ChildLimits, Job, SandboxState

    Send = Callable[[object], None]

_TEMPORARY = ("HOME", "TMPDIR", "KERAS_HOME")


def run(connection: socket.socket, stderr: int, limits: ChildLimits, parent: int) -> NoReturn:
    """Do one job and end this process; never returns.

    Args:
        connection: the stream for the job and the answers.
        stderr: descriptor of the file for the output of native code.
        limits: of this process.
        parent: pid of the process without which this one must not run.
    """
    code = 70
    try:
        os.dup2(stderr, 1)
        os.dup2(stderr, 2)
        os.close(stderr)
        confinement.die_with_parent(parent)
        with contextlib.suppress(PermissionError):  # a former zygote leads a session already
            os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        confinement.lower_priority(idle=True)
        confinement.apply_limits(limits)
        os.environ[MEMORY] = str(limits.memory_bytes)
        with connection, connection.makefile("rb") as lines:
            job = protocol.decode_job(lines.readline())
            os.chdir(job.scratch)
            os.environ.update(dict.fromkeys(_TEMPORARY, job.scratch))
            tempfile.tempdir = job.scratch
            _run_in_sandbox(
                job, lines, lambda message: connection.sendall(protocol.encode(message))
            )
        code = 0
    except BaseException:  # noqa: BLE001 - the daemon reports it, from this output
        sys.excepthook(*sys.exc_info())
    finally:
        _flush()
        os._exit(code)


def _flush() -> None:
    """Write out what was printed: after its last answer a child may be killed."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # full, or closed by a user
            stream.flush()


def _run_in_sandbox(job: Job, lines: BinaryIO, send: Send) -> None:
    """Enter the sandbox, report its state, and do the job."""
    request = decode.request(job.request)
    other = decode.request(job.other) if job.other is not None else None
    allowed = access_rules.rules_for_request(request, job.scratch, job.target, other)
    state = sandbox.enter_child(allowed, job.sentinel, may_set_times=job.stage == protocol.COPY)
    send({"sandbox": to_json(state)})
    if not state.missing:
        os.environ[CONFINED] = "1"
    if job.stage == protocol.WARM_UP:
        next_job = _wait_warm(job, state, lines, send)
        if next_job is None:
            return
        job, request = next_job, decode.request(next_job.request)
        send({"sandbox": to_json(state)})
    if job.stage == protocol.LOAD and job.enforce and state.missing:
        _refuse(job, state, send)
        return
    try:
        _work(job, request, other, lines, send)
    except PermissionError:
        # A Landlock rule is for the file itself; one that replaced it since cannot be opened.
        if not allowed.replaced():
            raise
        answer = {"end": str(End.SUPERSEDED), "message": "It was replaced while it was read."}
        if job.stage not in (protocol.SCAN, protocol.LOAD):
            send({"inspection": {**answer, "error": answer["message"]}})
        else:
            send({**answer, "facts": to_json(Facts(format=request.checkpoint.format))})


def _wait_warm(job: Job, state: SandboxState, lines: BinaryIO, send: Send) -> Job | None:
    """Warm up without a checkpoint, and wait for one; None where there will be none.

    Nothing but code of ours, of TensorFlow and of Keras has run when the job arrives, so its
    limits can be set then. One that is not wholly confined is of no use.
    """
    if state.missing:
        return None
    from checkpointd.verify.load.warm_up import warm_up

    warm_up(job.scratch)
    send({"warm": True})  # `protocol.WARM`
    line = lines.readline()
    if not line:
        return None
    asked = protocol.decode_job(line)
    if asked.limits is not None:
        used = int(time.process_time()) + 1
        limits = replace(asked.limits, cpu_seconds=asked.limits.cpu_seconds + used)
        confinement.apply_limits(limits)
        os.environ[MEMORY] = str(limits.memory_bytes)
    return asked


def _refuse(job: Job, state: SandboxState, send: Send) -> None:
    name, *others = job.checks
    why = "; ".join(state.missing)
    refusal = failed(
        name,
        "sandbox_unavailable",
        f"It is not loaded, because the sandbox would be incomplete: {why}. With sandbox = "
        '"best-effort" in [worker] it is loaded anyway.',
    )
    send({"check": to_json(refusal)})
    for other in others:
        send({"check": to_json(skipped(other, f"Not run, because {name} did not pass."))})
    send({"end": str(End.DONE), "message": "", "facts": to_json(decode.facts(job.facts))})


def _work(job: Job, request: Request, other: Request | None, lines: BinaryIO, send: Send) -> None:
    def emit(result: CheckResult) -> None:
        send({"check": to_json(result)})

    def learned(facts: Facts) -> None:
        send({"facts": to_json(facts)})

    if job.stage == protocol.SCAN:
        from checkpointd.verify.scan.scan_stage import scan

        end, facts, message = scan(request, emit, learned, early=job.early)
    elif job.stage == protocol.LOAD:
        pending = (lambda: protocol.decode_facts(lines.readline())) if job.early else None
        end, facts, message = _load(request, decode.facts(job.facts), emit, learned, pending)
    elif job.stage == protocol.COPY:
        from checkpointd.worker.copying import copy

        send({"inspection": copy(request, job.target)})
        return
    elif job.stage == protocol.DIGEST:
        from checkpointd.verify.scan.attested import digest

        send({"inspection": digest(request)})
        return
    elif other is not None:
        from checkpointd.verify.scan.diff.comparison import diff

        send({"inspection": diff(request, other, weights_only=job.weights_only)})
        return
    else:
        from checkpointd.verify.scan.inspect import inspect

        send({"inspection": inspect(request.checkpoint.path, request.checkpoint.format)})
        return
    _flush()
    send({"end": str(end), "message": message, "facts": to_json(facts)})


def _load(
    request: Request,
    facts: Facts,
    emit: Callable[[CheckResult], None],
    learned: Callable[[Facts], None],
    pending: Callable[[], Facts] | None,
) -> tuple[End, Facts, str]:
    from checkpointd.verify.load.load_stage import load_suite

    if not _unchanged(request, facts):
        return End.SUPERSEDED, facts, "It changed before it was loaded."
    facts = load_suite(request, facts, emit, learned, pending)
    if not _unchanged(request, facts):
        return End.SUPERSEDED, facts, "It changed while it was loaded."
    return End.DONE, facts, ""


def _unchanged(request: Request, facts: Facts) -> bool:
    try:
        now = generation_of(request.checkpoint.path, facts.format)
    except FileNotFoundError:
        return False
    return now.identity == request.generation.identity
