"""Whether a child failed because it had too little memory, and the message about it: pure."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.core import memory_errors
from checkpointd.core.check_result import CheckResult, Outcome
from checkpointd.core.text import size
from checkpointd.dispatch.limits import NO_LIMIT

if TYPE_CHECKING:
    from checkpointd.dispatch.child_result import ChildResult

_WORD = ".out_of_memory"


def memory_could_help(check: CheckResult) -> bool:
    """Whether more memory could have given another result."""
    return bool(check.reason) and check.outcome not in (Outcome.PASS, Outcome.WARN)


def ran_out(result: ChildResult) -> bool:
    """Whether it is known that a child had too little memory."""
    return (
        result.memory_exceeded
        or killed_by_other(result)
        or any(check.reason.endswith(_WORD) for check in result.checks)
        or (result.finished is None and bool(evidence(result)))
    )


def may_have_run_out(result: ChildResult) -> bool:
    """Whether a child could have ended otherwise with more memory."""
    if result.not_started or result.lost or result.timed_out:
        return False
    if result.protocol_error or result.quota_exceeded:
        return False
    failed = any(memory_could_help(check) for check in result.checks) or bool(result.exit_code)
    return ran_out(result) or (failed and _came_near_limit(result))


def killed_by_other(result: ChildResult) -> bool:
    """Whether somebody else killed it, as the kernel does when memory is short."""
    by_dispatcher = (
        result.timed_out or result.protocol_error or result.quota_exceeded or result.memory_exceeded
    )
    return result.signal == signal.SIGKILL and not by_dispatcher


def evidence(result: ChildResult) -> str:
    """Return how a child that ended early shows a lack of memory, as a clause; empty if not."""
    if result.timed_out or result.protocol_error or result.quota_exceeded:
        return ""
    if result.lost or result.not_started:
        return ""
    name = signal.Signals(result.signal).name if result.signal else f"exit code {result.exit_code}"
    lines = reversed(result.stderr.splitlines())
    line = next((text for text in lines if memory_errors.mentions_memory(text)), "")
    if line:
        return f"it ended by {name} and printed {line[:300]!r}"
    limit = 0 if result.limits is None else result.limits.memory_bytes
    if result.signal and 2 * result.peak.memory >= limit > 0:
        return f"it ended by {name} near its limit"
    return ""


def _came_near_limit(result: ChildResult) -> bool:
    """Whether it came so near to a limit that the next allocation may have been refused."""
    limits = result.limits
    if limits is None:
        return False
    mapped = limits.data_bytes < NO_LIMIT and 2 * result.peak.data >= limits.data_bytes
    return mapped or 2 * result.peak.memory >= limits.memory_bytes > 0


def with_memory_details(
    check: CheckResult, result: ChildResult, configured: int | str
) -> CheckResult:
    """Add to an out-of-memory result how much memory there was, and what decided that.

    Args:
        check: any result; only one for lack of memory changes.
        result: of the child.
        configured: `memory` of [worker]: bytes, or `"auto"`.
    """
    if not check.reason.endswith(_WORD) or result.limits is None:
        return check
    used, limit = result.peak.memory, result.limits.memory_bytes
    source = (
        "[worker] memory allows"
        if isinstance(configured, int)
        else 'this machine could spare ([worker] memory = "auto")'
    )
    one_request = ", and asked for more than was left in one request" if 2 * used < limit else ""
    return replace(
        check,
        message=f"{check.message} It used {size(used)} of the {size(limit)} that "
        f"{source}{one_request}.",
    )
