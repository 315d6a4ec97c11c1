"""Receiving a child's answers over a stream, until the child has ended."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING

import pytest

from checkpointd.core.check_result import passed
from checkpointd.core.checkpoint import Checkpoint, Generation
from checkpointd.core.decode import DecodeError
from checkpointd.core.encode import to_json
from checkpointd.core.format_specs import Format
from checkpointd.core.request import Request
from checkpointd.core.suite import checks_of
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.dispatch import child_result
from checkpointd.dispatch.child_result import ChildResult
from checkpointd.worker.protocol import LOAD, Job, SandboxState, encode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

SETTINGS = VerifySettings()
REQUEST = Request(Checkpoint("/m.h5", Format.HDF5), Generation(()), SETTINGS)
JOB = Job(LOAD, "", to_json(REQUEST), None, checks_of(LOAD, SETTINGS))
FIRST = encode({"sandbox": to_json(SandboxState())})


def answers_over_a_socket(
    send: Callable[[socket.socket], None], wait_for_exit: Callable[[], Awaitable[int]]
) -> ChildResult:
    """Receive what a child sends over a real stream; it exits as `wait_for_exit` does."""
    result = ChildResult()

    async def work() -> None:
        ours, theirs = socket.socketpair()
        send(theirs)
        reader, writer = await asyncio.open_connection(sock=ours, limit=1 << 20)
        try:
            result.exit_code = await child_result.receive_answers(
                JOB, reader, result, None, wait_for_exit
            )
        finally:
            writer.close()
            theirs.close()

    asyncio.run(work())
    return result


async def has_exited() -> int:
    """Act as a child that has ended."""
    return 0


async def never_exits() -> int:
    """Act as a child that goes on."""
    await asyncio.sleep(1000)
    return 0


def test_a_process_left_behind_that_holds_the_stream_open_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The child has ended; the answers that it sent are kept."""
    monkeypatch.setattr(child_result, "_LAST_ANSWERS_SECONDS", 0.05)
    result = answers_over_a_socket(
        lambda s: s.sendall(FIRST + encode({"check": to_json(passed("load"))})), has_exited
    )
    assert [check.name for check in result.checks] == ["load"]


def test_a_child_that_closes_its_end_and_does_not_exit_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It would occupy its slot until the timeout."""
    monkeypatch.setattr(child_result, "_EXIT_SECONDS", 0.05)
    with pytest.raises(DecodeError, match="did not exit"):
        answers_over_a_socket(lambda s: s.shutdown(socket.SHUT_RDWR), never_exits)


def test_descriptors_that_a_child_passes_are_closed() -> None:
    """None of them stays open in the daemon."""

    def send(stream: socket.socket) -> None:
        socket.send_fds(stream, [FIRST, encode({"check": to_json(passed("load"))})], [0] * 50)
        stream.shutdown(socket.SHUT_WR)

    before = len(os.listdir("/proc/self/fd"))
    result = answers_over_a_socket(send, has_exited)
    assert [check.name for check in result.checks] == ["load"]
    assert len(os.listdir("/proc/self/fd")) == before
