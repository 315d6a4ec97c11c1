"""What crosses the network: the JSON of a task and of its answer, and what a worker announces."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkpointd import __version__
from checkpointd.core import decode
from checkpointd.core.encode import to_json
from checkpointd.core.request import Answer, End

if TYPE_CHECKING:
    from checkpointd.core.request import Request

PROTOCOL = 1
"""Raised when a worker of an older version could not understand a task."""

ANNOUNCED = "checkpointd"
"""The key below which a Dask worker announces that it is one of ours."""

RETURNED = "returned"
"""The end of a task that a worker gave back, because it was stopped: it is no answer."""

ELSEWHERE = "elsewhere"
"""The end of a task whose checkpoint looks different on that host."""

MEMORY = "checkpointd-bytes"
"""The Dask resource that stands for the memory of a host."""

_ID = re.compile(r"[0-9a-f]{32}")
_HOST = re.compile(r"[A-Za-z0-9_.-]{1,253}", re.ASCII)


def turn(worker_id: str) -> str:
    """Return the Dask resource that one process of a worker has, and no other, ever.

    A task that requires it runs there or nowhere: Dask itself never repeats it on another worker.
    """
    return f"checkpointd-{worker_id}"


@dataclass(frozen=True)
class Member:
    """A worker of the fleet: one process, until it ends.

    `slots` is how many checkpoints it verifies at a time, `memory` the bytes it can spare for them,
    `timeout` the seconds after which it ends the verification of one.
    """

    id: str
    host: str
    slots: int
    memory: int
    timeout: float
    version: str = __version__

    def announce(self) -> dict[str, Any]:
        """Return what the worker announces about itself."""
        return {**to_json(self), "protocol": PROTOCOL}


def member_of(announced: Any) -> Member | None:
    """Read what a worker announces; None if it is not one of ours, or of another protocol."""
    if not isinstance(announced, dict) or announced.get("protocol") != PROTOCOL:
        return None
    member_id, host, version = (announced.get(key) for key in ("id", "host", "version"))
    slots, memory = announced.get("slots"), announced.get("memory")
    timeout = announced.get("timeout")
    if (
        not isinstance(member_id, str)
        or _ID.fullmatch(member_id) is None
        or not isinstance(host, str)
        or _HOST.fullmatch(host) is None
        or not isinstance(version, str)
        or type(slots) is not int
        or not 0 < slots < decode.MAX_INTEGER
        or type(memory) is not int
        or not 0 < memory < decode.MAX_INTEGER
        or not isinstance(timeout, (int, float))
        or not timeout > 0
    ):
        return None
    return Member(member_id, host, slots, memory, float(timeout), version[:100])


def encode_task(request: Request) -> str:
    """Return the JSON of a task."""
    return json.dumps({"protocol": PROTOCOL, "request": to_json(request)}, separators=(",", ":"))


def decode_task(data: bytes) -> Request:
    """Read a task.

    Raises:
        DecodeError: it is none.
    """
    raw = _object(data)
    if raw.get("protocol") != PROTOCOL:
        raise decode.DecodeError(f"a task of protocol {raw.get('protocol')!r:.20}")
    return decode.request(raw.get("request"))


def encode_answer(host: str, answer: Answer) -> bytes:
    """Return the JSON of a worker's answer."""
    report = answer.report
    more = (
        {}
        if report is None
        else {
            "checks": to_json(report.checks),
            "facts": to_json(report.facts),
            "duration_seconds": report.duration_seconds,
            "stderr": report.stderr,
        }
    )
    return encode_end(host, str(answer.end), answer.message, **more)


def encode_end(host: str, end: str, message: str, **more: Any) -> bytes:
    """Return the JSON of how a task ended."""
    answer = {"version": __version__, "host": host, "end": end, "message": message, **more}
    return json.dumps(answer, separators=(",", ":")).encode()


def decode_end(data: bytes | str) -> tuple[str, dict[str, Any]]:
    """Read how a task ended; the rest of it is not validated yet.

    Raises:
        DecodeError: it is not an answer.
    """
    raw = _object(data)
    end, message = raw.get("end"), raw.get("message")
    known = (RETURNED, ELSEWHERE, *(str(one) for one in End))
    if end not in known or not isinstance(message, str):
        raise decode.DecodeError("not an answer")
    return str(end), raw


def _object(data: bytes | str) -> dict[str, Any]:
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError):
        raise decode.DecodeError("not JSON") from None
    if not isinstance(raw, dict):
        raise decode.DecodeError("not an object")
    return raw
