"""The messages between daemon, zygote and child.

Daemon and zygote: JSON datagrams over a SOCK_SEQPACKET pair, with file descriptors.
Daemon and child: one job line, then answer lines, JSON over a stream socket pair.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from checkpointd.core import decode
from checkpointd.core.encode import to_json
from checkpointd.core.request import End
from checkpointd.core.verify_settings import LOAD_STAGE, SCAN_STAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.core.check_result import CheckResult
    from checkpointd.core.report import Facts

SCAN, LOAD, INSPECT, COPY = SCAN_STAGE, LOAD_STAGE, "inspect", "copy"
DIFF, DIGEST = "diff", "digest"

WARM = b'{"warm":true}\n'
"""What a spare sends when it waits for its second job."""

WARM_UP = "warm_up"
"""The first job of a spare: it enters its sandbox, warms up, and waits for a LOAD."""

SENTINEL = ".foreign"

MAX_DATAGRAM = 16 * 1024
MAX_LINE = 8 * 1024 * 1024
MAX_TOTAL = 64 * 1024 * 1024


@dataclass(frozen=True)
class ChildLimits:
    """What a child may use: address-space data and file size in bytes, CPU time in seconds.

    `memory_bytes` is the memory that it may use; the daemon kills it beyond that. 0: no limit.
    """

    data_bytes: int
    file_bytes: int
    cpu_seconds: int
    memory_bytes: int = 0


@dataclass(frozen=True)
class ForkRequest:
    """Daemon to zygote: fork a child, or (`become`) turn into it.

    It comes with two descriptors: the child's stream socket and the file for its stderr.
    """

    number: int
    limits: ChildLimits
    become: bool = False


@dataclass(frozen=True)
class SandboxState:
    """Which parts of the sandbox are active, and in `missing` which are not, as clauses.

    `landlock` is the version of Landlock; 0 without it.
    """

    landlock: int = 0
    seccomp: bool = False
    missing: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """Return the state in a few words."""
        parts = [f"Landlock {self.landlock}"] if self.landlock else []
        parts += ["seccomp"] if self.seccomp else []
        if not self.missing:
            return ", ".join(parts)
        return f"{', '.join(parts) or 'none'}, but {'; '.join(self.missing)}"


@dataclass(frozen=True)
class Notice:
    """Zygote to daemon: `ready` (with its environment), `forked` (with a pidfd), `exited`.

    `sandbox` is the state of a trial child, before there was a checkpoint; None: not tried.
    """

    kind: str
    number: int = 0
    pid: int = 0
    status: int = 0
    can_fork: bool = True
    environment: Mapping[str, str] | None = None
    message: str = ""
    sandbox: SandboxState | None = None


@dataclass(frozen=True)
class Job:
    """Daemon to child: what to do. `request` and `facts` are the `to_json` of these facts.

    `checks` are those that it answers for, in order; `target` is the directory for a COPY. With
    `enforce` nothing is loaded unless the whole sandbox is active. `limits` replace those with
    which a spare was started. `early`: the load begins while the weights are scanned. Then a SCAN
    reports its facts once more, before `safety`'s result, and a LOAD gets those that the scan ends
    with in a second line. `other` is the request of the second checkpoint of a DIFF, and with
    `weights_only` nothing but the model's weights counts.
    """

    stage: str
    scratch: str
    request: Mapping[str, Any]
    facts: Mapping[str, Any] | None = None
    checks: tuple[str, ...] = ()
    target: str = ""
    enforce: bool = True
    early: bool = False
    limits: ChildLimits | None = None
    other: Mapping[str, Any] | None = None
    weights_only: bool = False

    @property
    def sentinel(self) -> str:
        """Return the file beside the scratch that the sandbox's self-test tries to open."""
        return self.scratch + SENTINEL


@dataclass(frozen=True)
class Finished:
    """Child to daemon: the stage has ended."""

    end: End
    message: str
    facts: Facts


def encode(message: object) -> bytes:
    """Encode a message as one line."""
    return json.dumps(to_json(message), separators=(",", ":")).encode() + b"\n"


def decode_fork_request(data: bytes) -> ForkRequest:
    """Decode a `ForkRequest`; the daemon is trusted."""
    raw = json.loads(data)
    return ForkRequest(raw["number"], ChildLimits(**raw["limits"]), raw["become"])


def decode_job(data: bytes) -> Job:
    """Decode a `Job`; the daemon is trusted."""
    raw = json.loads(data)
    limits = raw.pop("limits", None)
    return Job(**raw, limits=None if limits is None else ChildLimits(**limits))


def decode_facts(data: bytes) -> Facts:
    """Decode the second line of a LOAD that began early; the daemon is trusted."""
    return decode.facts(json.loads(data))


def _object(data: bytes) -> dict[str, Any]:
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError):
        raise decode.DecodeError("a line that is not JSON") from None
    if not isinstance(raw, dict):
        raise decode.DecodeError("not an object")
    return raw


def decode_notice(data: bytes) -> Notice:
    """Decode a `Notice`.

    Raises:
        checkpointd.core.decode.DecodeError: it is none.
    """
    raw = _object(data)
    try:
        state = raw.pop("sandbox", None)
        notice = Notice(**raw, sandbox=None if state is None else _sandbox(state))
    except TypeError as error:
        raise decode.DecodeError(str(error)) from None
    numbers = (notice.number, notice.pid, notice.status)
    if notice.kind not in ("ready", "forked", "exited") or not all(
        type(number) is int for number in numbers
    ):
        raise decode.DecodeError("a malformed notice")
    return notice


def _sandbox(raw: Any) -> SandboxState:
    missing = raw.get("missing") if isinstance(raw, dict) else None
    if (
        not isinstance(missing, list)
        or not all(isinstance(clause, str) for clause in missing)
        or type(raw.get("landlock")) is not int
        or type(raw.get("seccomp")) is not bool
    ):
        raise decode.DecodeError(f"a malformed sandbox state: {raw!r:.200}")
    return SandboxState(raw["landlock"], raw["seccomp"], tuple(missing))


def decode_sandbox_state(data: bytes) -> SandboxState:
    """Decode a `SandboxState`.

    Raises:
        checkpointd.core.decode.DecodeError: it is none.
    """
    return _sandbox(_object(data))


def decode_answer(data: bytes) -> CheckResult | Facts | Finished | SandboxState | dict[str, Any]:
    """Decode one line of a child: its sandbox, a check, facts, a stage's end, or an inspection.

    Raises:
        checkpointd.core.decode.DecodeError: it is none of these.
    """
    raw = _object(data)
    keys = set(raw)
    if keys == {"check"}:
        return decode.check_result(raw["check"])
    if keys == {"end", "message", "facts"} and isinstance(raw["message"], str):
        try:
            end = End(raw["end"])
        except ValueError:
            raise decode.DecodeError("an unknown end") from None
        return Finished(end, raw["message"], decode.facts(raw["facts"]))
    if keys == {"facts"}:
        return decode.facts(raw["facts"])
    if keys == {"sandbox"}:
        return _sandbox(raw["sandbox"])
    if keys == {"inspection"} and isinstance(raw["inspection"], dict):
        return dict(raw["inspection"])
    raise decode.DecodeError("a line that is not an answer")
