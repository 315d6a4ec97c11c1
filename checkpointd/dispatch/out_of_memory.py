"""Whether a child failed because it had too little memory, and the sentence that says so."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.core import memory_errors
from checkpointd.core.check_result import CheckResult, Outcome
from checkpointd.core.text import size
from checkpointd.dispatch.limits import NO_LIMIT

if TYPE_CHECKING:
    from checkpointd.dispatch.child_result import Run

_WORD = ".out_of_memory"


def bad(check: CheckResult) -> bool:
    """Whether more memory could have given another result."""
    return bool(check.reason) and check.outcome not in (Outcome.PASS, Outcome.WARN)


def is_short(run: Run) -> bool:
    """Whether it is known that a child had too little memory."""
    return (
        run.held_too_much
        or killed(run)
        or any(check.reason.endswith(_WORD) for check in run.checks)
        or (run.finished is None and bool(why_it_died(run)))
    )


def may_be_short(run: Run) -> bool:
    """Whether a child could have ended otherwise with more memory."""
    if run.not_started or run.lost or run.timed_out or run.refused or run.overdrawn:
        return False
    failed = any(bad(check) for check in run.checks) or bool(run.exit_code)
    return is_short(run) or (failed and _is_near(run))


def killed(run: Run) -> bool:
    """Whether it was killed, and not by us: as the kernel does when memory is short."""
    ours = run.timed_out or run.refused or run.overdrawn or run.held_too_much
    return run.signal == signal.SIGKILL and not ours


def why_it_died(run: Run) -> str:
    """How a child that ended early shows that memory was short, as a clause; empty if not."""
    if run.timed_out or run.refused or run.overdrawn or run.lost or run.not_started:
        return ""
    name = signal.Signals(run.signal).name if run.signal else f"exit code {run.exit_code}"
    line = next((s for s in reversed(run.stderr.splitlines()) if memory_errors.says_so(s)), "")
    if line:
        return f"it ended by {name} and said {line[:300]!r}"
    if run.signal and run.limits is not None and 2 * run.held.memory >= run.limits.memory_bytes > 0:
        return f"it ended by {name} near its limit"
    return ""


def _is_near(run: Run) -> bool:
    """Whether it came so near to a limit that the next request may have been refused."""
    if run.limits is None:
        return False
    mapped = run.limits.data_bytes < NO_LIMIT and 2 * run.held.data >= run.limits.data_bytes
    return mapped or 2 * run.held.memory >= run.limits.memory_bytes > 0


def explained(check: CheckResult, run: Run, memory: int | str) -> CheckResult:
    """Add to a result for want of memory how much there was, and who decided that."""
    if not check.reason.endswith(_WORD) or run.limits is None:
        return check
    held, bound = size(run.held.memory), size(run.limits.memory_bytes)
    who = (
        "[worker] memory allows"
        if isinstance(memory, int)
        else 'this machine could spare ([worker] memory = "auto")'
    )
    at_once = ", and asked for more than was left at once"
    asked = at_once if 2 * run.held.memory < run.limits.memory_bytes else ""
    message = f"{check.message} It held {held} of the {bound} that {who}{asked}."
    return replace(check, message=message)
