"""The scan stage: the checks that need no TensorFlow, in a small process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.core.check_result import Outcome
from checkpointd.core.report import Facts
from checkpointd.core.request import End, Request
from checkpointd.core.suite import INTACT_CHECKS, safety_first
from checkpointd.core.verify_settings import SCAN_STAGE
from checkpointd.formats import generation_of, has_followed
from checkpointd.verify.scan.damage import is_damaged
from checkpointd.verify.scan.scan_context import ScanContext
from checkpointd.verify.scan.unwritten import has_holes, has_unwritten_space
from checkpointd.verify.suite import Emit, Stop, blocks, import_checks, run
from checkpointd.verify.user_checks import run_user_checks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from checkpointd.core.check_result import CheckResult
    from checkpointd.core.checkpoint import Generation

_CHECKS = import_checks(SCAN_STAGE)
"""Imported with this module, which the zygote imports before it forks."""

_UNWRITTEN = "It has space that nothing was written to yet."

_SAFETY_FIRST = tuple((name, dict(_CHECKS)[name]) for name in safety_first(dict(_CHECKS)))


def scan(
    request: Request,
    emit: Emit,
    learned: Callable[[Facts], None] = lambda _facts: None,
    *,
    early: bool = False,
) -> tuple[End, Facts, str]:
    """Verify a checkpoint as far as that is possible without TensorFlow.

    Args:
        request: which generation of which checkpoint, and how.
        emit: called with the result of each check as soon as it is known.
        learned: called with the facts before the user's checks run, which may never return.
        early: a load is to begin before the weights have been read: `learned` is also called
            with what is known then, before the result of `safety`, which runs before `integrity`.

    Returns:
        DONE, with what was learned besides the checks; INCOMPLETE where its writer may not be done
        (the results have been emitted all the same), unless the request says that it is overdue;
        SUPERSEDED where it is not, or no longer, the generation that was asked for; UNKNOWN where
        the content is not a model. The text explains why there is no verdict.
    """
    context = ScanContext(request, Facts(format=request.checkpoint.format))
    before = _current_generation(request)
    if before is None or before.identity != request.generation.identity:
        return End.SUPERSEDED, context.facts, "It changed before it was read."
    try:
        if early:
            results = run(context, _SAFETY_FIRST, _reporting_facts(context, emit, learned))
        else:
            results = run(context, _CHECKS, emit)
        unwritten = "" if request.overdue else _not_written_yet(context, results.values())
        if not unwritten:
            done = {name: result.outcome for name, result in results.items() if blocks(result)}
            run_user_checks(context, SCAN_STAGE, emit, learned, done)
    except Stop as stop:
        if _current_generation(request) != before:
            return End.SUPERSEDED, context.facts, "It changed while it was read."
        return stop.end, context.facts, stop.message
    finally:
        if context.planned is not None:
            context.planned.close()
    if _current_generation(request) != before:
        return End.SUPERSEDED, context.facts, "It changed while it was read."
    if unwritten:
        return End.INCOMPLETE, context.facts, unwritten
    return End.DONE, context.facts, ""


def _reporting_facts(context: ScanContext, emit: Emit, learned: Callable[[Facts], None]) -> Emit:
    """Return `emit`, which also reports the facts before the result of `safety`."""

    def emit_and_report(result: CheckResult) -> None:
        if result.name == "safety":
            learned(context.facts)
        emit(result)

    return emit_and_report


def _not_written_yet(context: ScanContext, results: Iterable[CheckResult]) -> str:
    """Return a message on what its writer may still have to write; empty if nothing is missing."""
    failed = [r for r in results if r.name in INTACT_CHECKS and r.outcome is Outcome.FAIL]
    if failed and _is_finished(context):
        failed = []
    if not (failed or context.incomplete):
        return _UNWRITTEN if _may_be_filled_in(context.request) and has_holes(context) else ""
    if is_damaged(context):
        return ""
    return context.incomplete or failed[0].message


def _is_finished(context: ScanContext) -> bool:
    """Whether the order of its times shows that its writer came to the end, and left no gap."""
    followed = has_followed(context.request.generation, context.facts.format)
    return followed and not has_unwritten_space(context)


def _may_be_filled_in(request: Request) -> bool:
    """Whether it has changed lately, as far as is known, and was never read whole as it is."""
    former = request.former
    is_known = former is not None and former.generation.key == request.generation.key
    return not (request.idle or is_known)


def _current_generation(request: Request) -> Generation | None:
    """Read the generation on disk; after a remount its device may differ from the request's."""
    try:
        return generation_of(request.checkpoint.path, request.checkpoint.format)
    except (FileNotFoundError, NotADirectoryError):
        return None
