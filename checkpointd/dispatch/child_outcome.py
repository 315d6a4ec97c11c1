"""From how a child ended to what that says about the checkpoint: pure decisions."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from checkpointd.core.check_result import CheckResult, Outcome, failed, skipped
from checkpointd.core.suite import CHECKS
from checkpointd.core.verify_settings import most_unpacked
from checkpointd.dispatch.out_of_memory import why_it_died

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.dispatch.child_result import Run

CRASHES = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE})
"""Signals that are the checkpoint's fault when a fresh interpreter dies of them again."""

_LAST_WORDS = 500

ENDLESS = signal.SIGVTALRM
"""What ends a child whose library goes round in circles on a damaged file."""

_FOREIGN = frozenset({signal.SIGILL, signal.SIGSYS})


def pending(order: Sequence[str], run: Run, skip: Sequence[str]) -> str:
    """Name the check that was running when a child ended early."""
    done = {check.name for check in run.checks}
    last = max((order.index(name) for name in done), default=-1)
    rest = [name for name in order[last + 1 :] if name not in skip]
    return rest[0] if rest else order[-1]


def crashed(run: Run) -> bool:
    """Whether a fresh interpreter should have a second look before anybody is blamed."""
    ours = run.timed_out or run.refused or run.overdrawn or run.held_too_much
    return not ours and run.signal in CRASHES


def death(
    order: Sequence[str],
    run: Run,
    skip: Sequence[str],
    timeout: float,
    *,
    recorded: bool = True,
) -> CheckResult | None:
    """Say what an unfinished run means; None if it finished.

    A check of the user's own that ends its process says nothing of the checkpoint: an error.

    Args:
        order: the checks of the stage that ran.
        run: what the child did.
        skip: the checks that were not to run.
        timeout: the seconds it had.
        recorded: there is a golden record, so that `inference` ran on no inputs that were made up.
    """
    ended = run.refused or run.timed_out or run.overdrawn or run.held_too_much
    if run.finished is not None and not ended:
        return None
    name = pending(order, run, skip)
    word, message = _endless(name) if run.signal == ENDLESS else _meaning(run, timeout)
    last = run.stderr.splitlines()[-1][:_LAST_WORDS] if run.stderr else ""
    tells = word in ("crashed", "environment") and not run.lost and not run.not_started
    said = f" It said last: {last}" if last and tells else ""
    if name not in CHECKS or run.refused:  # nothing that such a child said can be believed
        return CheckResult(name, Outcome.ERROR, f"{name}.{word}", message + said)
    if name == "inference" and word == "crashed" and not recorded:
        return failed(name, "not_run", f"Inputs made for it end its process. {message}{said}")
    return failed(name, word, message + said)


def _endless(name: str) -> tuple[str, str]:
    """What it means that a library went round in circles; see `tensors.hdf5.guarded`."""
    word = "malformed" if name == "structure" else "timeout"
    return word, "The file is damaged: libhdf5 goes round in circles when it reads it."


def _meaning(run: Run, timeout: float) -> tuple[str, str]:
    """The word of the closed list for an early end, and a sentence."""
    name = signal.Signals(run.signal).name if run.signal else ""
    shortage = why_it_died(run)
    table = (
        (run.not_started, ("environment", run.not_started)),
        (
            run.timed_out or run.signal == signal.SIGXCPU,
            ("timeout", f"No result within {timeout:g} s."),
        ),
        (
            run.refused,
            ("environment", f"The worker broke the protocol and was ended: {run.refused}."),
        ),
        (run.overdrawn, ("environment", f"The worker was ended: {run.overdrawn}.")),
        (
            run.lost,
            ("environment", f"The worker was lost: {run.stderr or 'its zygote ended'}."),
        ),
        (
            run.held_too_much,
            ("out_of_memory", "It was ended because it held too much memory."),
        ),
        (shortage, ("out_of_memory", f"There was not enough memory: {shortage}.")),
        (
            run.signal in CRASHES,
            ("crashed", f"It ended two fresh interpreters, one after the other, by {name}."),
        ),
        (
            run.signal == signal.SIGKILL,
            (
                "out_of_memory",
                "The kernel killed it, because memory was short."
                if run.oom_killed
                else "It was killed from outside, as the kernel does when memory is short.",
            ),
        ),
        (
            run.signal in _FOREIGN,
            ("environment", f"This machine refused an instruction or a system call ({name})."),
        ),
        (run.signal, ("environment", f"The worker was ended by {name}.")),
    )
    for applies, meaning in table:
        if applies:
            return meaning
    return "environment", f"The worker ended without a result (exit {run.exit_code})."


def needed_bytes(checks: Sequence[CheckResult], stored: int) -> int:
    """Say how many bytes of a checkpoint have to fit into the memory of whoever loads it.

    Args:
        checks: of the scan, whose `structure` tells what it holds unpacked; a scan that says more
            than any sound checkpoint holds is not believed.
        stored: its bytes on disk.
    """
    told = next((c.details.get("unpacked_bytes") for c in checks if c.name == "structure"), 0)
    unpacked = told if isinstance(told, int) else 0
    return min(max(stored, unpacked), most_unpacked(stored))


def blocking(checks: Sequence[CheckResult]) -> str:
    """Name the check whose outcome forbids loading; empty if none does."""
    stops = {"structure", "integrity", "safety"}
    return next(
        (c.name for c in checks if c.name in stops and c.outcome in (Outcome.FAIL, Outcome.ERROR)),
        "",
    )


def lost(
    order: Sequence[str], died: CheckResult, done: Sequence[CheckResult], skip: Sequence[str]
) -> list[CheckResult]:
    """The checks of a stage that a child's end has cost.

    What the user asked for is not done with it, where `died` itself leaves the verdict open.
    """
    word = died.reason.partition(".")[2]
    return [
        CheckResult(
            check.name,
            Outcome.ERROR,
            f"{check.name}.{word}",
            f"Not run, because its process ended in {died.name}: to have it all the same, set "
            f'skip = ["{died.name}"] in [watch.verify].',
        )
        if died.outcome is Outcome.SKIP
        and check.name not in skip
        and (check.name == "evaluate" or check.name not in CHECKS)
        else check
        for check in not_run(order, died.name, [*done, died])
    ]


def not_run(order: Sequence[str], after: str, done: Sequence[CheckResult]) -> list[CheckResult]:
    """The checks of a stage that did not run because `after` did not pass."""
    names = {c.name for c in done}
    return [
        skipped(name, f"Not run, because {after} did not pass.")
        for name in order
        if name not in names
    ]
