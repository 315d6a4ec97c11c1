"""The scan side of the suite: what can be shown without TensorFlow, in a light child."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.core.check_result import Outcome
from checkpointd.core.report import Facts
from checkpointd.core.request import End, Request
from checkpointd.core.suite import INTACT_CHECKS
from checkpointd.core.verify_settings import SCAN_STAGE
from checkpointd.formats import generation_of, has_followed
from checkpointd.verify.scan.scan_context import ScanContext
from checkpointd.verify.suite import Emit, Stop, blocks, import_checks, run
from checkpointd.verify.user_checks import run_user_checks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from checkpointd.core.check_result import CheckResult
    from checkpointd.core.checkpoint import Generation

_CHECKS = import_checks(SCAN_STAGE)
"""Imported with this module, which the zygote imports before it forks."""


def scan(
    request: Request, emit: Emit, learned: Callable[[Facts], None] = lambda _facts: None
) -> tuple[End, Facts, str]:
    """Verify a checkpoint as far as that can be done without TensorFlow.

    Args:
        request: which generation of which checkpoint, and how.
        emit: called with the result of each check as soon as it is known.
        learned: called with the facts before the user's own checks run, which may not come back.

    Returns:
        DONE, with what was learned besides the checks; INCOMPLETE where its writer may not be done
        (the results have been emitted all the same), unless the request says that it is overdue;
        SUPERSEDED where it is not, or no longer, the generation that was asked for; UNKNOWN where
        the content is no model. The text says why there is no verdict.
    """
    context = ScanContext(request, Facts(format=request.checkpoint.format))
    before = _now(request)
    if before is None or before.identity != request.generation.identity:
        return End.SUPERSEDED, context.facts, "It changed before it was read."
    try:
        results = run(context, _CHECKS, emit)
        owed = "" if request.overdue else _owed(context, results.values())
        if not owed:
            done = {name: result.outcome for name, result in results.items() if blocks(result)}
            run_user_checks(context, SCAN_STAGE, emit, learned, done)
    except Stop as stop:
        if _now(request) != before:
            return End.SUPERSEDED, context.facts, "It changed while it was read."
        return stop.end, context.facts, stop.message
    finally:
        if context.planned is not None:
            context.planned.close()
    if _now(request) != before:
        return End.SUPERSEDED, context.facts, "It changed while it was read."
    if owed:
        return End.INCOMPLETE, context.facts, owed
    return End.DONE, context.facts, ""


def _owed(context: ScanContext, results: Iterable[CheckResult]) -> str:
    """What its writer may still be about to write, as a sentence; empty if nothing is."""
    if context.incomplete or has_followed(context.request.generation, context.facts.format):
        return context.incomplete
    failed = (r for r in results if r.name in INTACT_CHECKS and r.outcome is Outcome.FAIL)
    return next((r.message for r in failed), "")


def _now(request: Request) -> Generation | None:
    """What lies there; the device may be another than the request's, after a remount."""
    try:
        return generation_of(request.checkpoint.path, request.checkpoint.format)
    except (FileNotFoundError, NotADirectoryError):
        return None
