"""From how a child ended to what that means for the checkpoint: pure decisions."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from checkpointd.core.check_result import CheckResult, Outcome, failed, skipped
from checkpointd.core.expansion import most_unpacked
from checkpointd.core.format_specs import Format
from checkpointd.core.loader_specs import NOTHING_LOADED, why_nothing_loads
from checkpointd.core.reasons.general import GENERAL
from checkpointd.core.suite import CHECKS, NEEDED_TO_LOAD, REASONS, SPECS, SWITCHED_OFF
from checkpointd.dispatch.out_of_memory import evidence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.core.report import Facts
    from checkpointd.core.verify_settings import VerifySettings
    from checkpointd.dispatch.child_result import ChildResult

CRASHES = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE})
"""Signals that are the checkpoint's fault when a fresh interpreter dies of them again."""

_MAX_OUTPUT = 500
"""Characters of a child's last line that are shown."""

ENDLESS = signal.SIGVTALRM
"""The signal that ends a child whose library loops forever on a damaged file."""

_MADE_UP = "not_run"
"""The reason of a check that may have been stopped by inputs that were made up for it."""

_UNSUPPORTED = frozenset({signal.SIGILL, signal.SIGSYS})


def interrupted_check(order: Sequence[str], result: ChildResult, skip: Sequence[str]) -> str:
    """Return the name of the check that was running when a child ended early."""
    done = {check.name for check in result.checks}
    last = max((order.index(name) for name in done), default=-1)
    rest = [name for name in order[last + 1 :] if name not in skip]
    return rest[0] if rest else order[-1]


def is_crash(result: ChildResult) -> bool:
    """Whether the stage should run again in a fresh interpreter before anything is blamed."""
    killed = (
        result.timed_out or result.protocol_error or result.quota_exceeded or result.memory_exceeded
    )
    return not killed and result.signal in CRASHES


def early_exit_result(
    order: Sequence[str],
    result: ChildResult,
    skip: Sequence[str],
    timeout: float,
    *,
    recorded: bool = True,
) -> CheckResult | None:
    """Return the result of the check in which a child ended early; None if the child finished.

    A user check that ends its process proves nothing about the checkpoint: an error.

    Args:
        order: the checks of the stage that ran.
        result: what the child did.
        skip: the checks that were not to run.
        timeout: the seconds it had.
        recorded: there is a golden record, so that `inference` did not run on made-up inputs.
    """
    killed = (
        result.protocol_error or result.timed_out or result.quota_exceeded or result.memory_exceeded
    )
    if result.finished is not None and not killed:
        return None
    name = interrupted_check(order, result, skip)
    word, message = (
        _endless(name) if result.signal == ENDLESS else _word_and_message(result, timeout)
    )
    last = result.stderr.splitlines()[-1][:_MAX_OUTPUT] if result.stderr else ""
    relevant = word in ("crashed", "environment") and not result.lost and not result.not_started
    output = f" Its last output: {last}" if last and relevant else ""
    if name not in SPECS or result.protocol_error:  # nothing that such a child sent is reliable
        return CheckResult(name, Outcome.ERROR, f"{name}.{word}", message + output)
    if word == "crashed" and not recorded and f"{name}.{_MADE_UP}" in REASONS:
        return failed(name, _MADE_UP, f"Inputs made for it end its process. {message}{output}")
    return failed(name, word, message + output)


def _endless(name: str) -> tuple[str, str]:
    """Return word and message for a library that loops forever; see `tensors.hdf5.guarded`."""
    word = "malformed" if f"{name}.malformed" in REASONS else "timeout"
    return word, "The file is damaged: libhdf5 loops forever when it reads it."


def _word_and_message(result: ChildResult, timeout: float) -> tuple[str, str]:
    """Return the word of the closed list for an early end, and a message."""
    name = signal.Signals(result.signal).name if result.signal else ""
    shortage = evidence(result)
    table = (
        (result.not_started, ("environment", result.not_started)),
        (
            result.timed_out or result.signal == signal.SIGXCPU,
            ("timeout", f"No result within {timeout:g} s."),
        ),
        (
            result.protocol_error,
            (
                "environment",
                f"The worker broke the protocol and was killed: {result.protocol_error}.",
            ),
        ),
        (
            result.quota_exceeded,
            ("environment", f"The worker was killed: {result.quota_exceeded}."),
        ),
        (
            result.lost,
            ("environment", f"The worker was lost: {result.stderr or 'its zygote ended'}."),
        ),
        (
            result.memory_exceeded,
            ("out_of_memory", "It was killed because it used too much memory."),
        ),
        (shortage, ("out_of_memory", f"There was not enough memory: {shortage}.")),
        (
            result.signal in CRASHES,
            ("crashed", f"It crashed two fresh interpreters, one after the other, by {name}."),
        ),
        (
            result.signal == signal.SIGKILL,
            (
                "out_of_memory",
                "The kernel killed it for lack of memory."
                if result.oom_killed
                else "Something outside killed it, as the kernel does when memory is short.",
            ),
        ),
        (
            result.signal in _UNSUPPORTED,
            ("environment", f"This machine refused an instruction or a system call ({name})."),
        ),
        (result.signal, ("environment", f"The worker was killed by {name}.")),
    )
    for applies, meaning in table:
        if applies:
            return meaning
    return "environment", f"The worker exited without a result (exit code {result.exit_code})."


def memory_needed(checks: Sequence[CheckResult], stored: int) -> int:
    """Return how many bytes of a checkpoint have to fit into the memory of a load child.

    Args:
        checks: of the scan, whose `structure` reports the unpacked size; a size that no sound
            checkpoint can have is not believed.
        stored: its bytes on disk.
    """
    reported = next((c.details.get("unpacked_bytes") for c in checks if c.name == "structure"), 0)
    unpacked = reported if isinstance(reported, int) else 0
    return min(max(stored, unpacked), most_unpacked(stored))


def blocking_check(checks: Sequence[CheckResult]) -> str:
    """Return the name of the check whose outcome forbids loading; empty if none does."""
    stopped = (Outcome.FAIL, Outcome.ERROR)
    return next((c.name for c in checks if c.name in NEEDED_TO_LOAD and c.outcome in stopped), "")


def lost_checks(
    order: Sequence[str], ended_in: CheckResult, done: Sequence[CheckResult], skip: Sequence[str]
) -> list[CheckResult]:
    """Return results for the checks of a stage that could not run because the child ended early.

    Where `ended_in` itself leaves the verdict open, what the user asked for is an error, because
    it was not done.
    """
    word = ended_in.reason.partition(".")[2]
    word = word if word in GENERAL else "environment"  # `not_run` is a reason of inference alone
    return [
        CheckResult(
            check.name,
            Outcome.ERROR,
            f"{check.name}.{word}",
            f"Not run, because its process ended in {ended_in.name}: to run it anyway, set "
            f'skip = ["{ended_in.name}"] in [watch.verify].',
        )
        if ended_in.outcome is Outcome.SKIP
        and check.name not in skip
        and _was_asked_for(check.name)
        else check
        for check in not_run(order, ended_in.name, [*done, ended_in])
    ]


def _was_asked_for(name: str) -> bool:
    """Whether a check is the user's, or one that runs only where they configure it."""
    return name not in SPECS or SPECS[name].enabled is not None


def nothing_to_load(
    order: Sequence[str], facts: Facts, settings: VerifySettings
) -> list[CheckResult]:
    """Return the results of a load stage that would load nothing; empty where it has to run.

    It saves starting TensorFlow for weights that nothing can be loaded into, and where `skip`
    names `load`. What the user asked for beyond the suite is left to the stage, which says what
    that needs.
    """
    why = why_nothing_loads(facts.format, settings.builder)
    if "load" in settings.skip:
        why = why or NOTHING_LOADED
    is_known = facts.format is not Format.UNKNOWN
    if not why or not is_known or settings.evaluate.is_set or not set(order) <= set(CHECKS):
        return []
    return [skipped(name, SWITCHED_OFF if name in settings.skip else why) for name in order]


def not_run(order: Sequence[str], after: str, done: Sequence[CheckResult]) -> list[CheckResult]:
    """Return skipped results for the checks of a stage that `after` kept from running."""
    names = {c.name for c in done}
    return [
        skipped(name, f"Not run, because {after} did not pass.")
        for name in order
        if name not in names
    ]
