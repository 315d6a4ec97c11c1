"""The scan side of the suite: what can be shown without TensorFlow, in a light child."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.checkpoint import End, Facts, Request
from checkpointd.criteria import SCAN_STAGE
from checkpointd.formats import generation_of
from checkpointd.verify import drift, finite, integrity, structure
from checkpointd.verify.own import run_own
from checkpointd.verify.suite import Emit, Stop, run

if TYPE_CHECKING:
    from collections.abc import Callable

CHECKS = (
    (structure.NAME, structure.check),
    (integrity.NAME, integrity.check),
    (finite.NAME, finite.check),
    (drift.NAME, drift.check),
)


def scan(
    request: Request, emit: Emit, learned: Callable[[Facts], None] = lambda _facts: None
) -> tuple[End, Facts, str]:
    """Verify a checkpoint as far as that can be done without TensorFlow.

    Args:
        request: which generation of which checkpoint, and how.
        emit: called with the result of each check as soon as it is known.
        learned: called with the facts before the user's own checks run, which may not come back.

    Returns:
        DONE, with what was learned besides the checks; INCOMPLETE where the container itself says
        that its writer is not done (the `structure` result has been emitted all the same);
        SUPERSEDED where it is not, or no longer, the generation that was asked for; UNKNOWN where
        the content is no model. The text says why there is no verdict.
    """
    context = structure.ScanContext(request, Facts(format=request.checkpoint.format))
    if not _is_current(request):
        return End.SUPERSEDED, context.facts, "It changed before it was read."
    try:
        results = run(context, CHECKS, emit)
        if not context.incomplete:
            done = {name: result.outcome for name, result in results.items()}
            run_own(context, SCAN_STAGE, emit, learned, done)
    except Stop as stop:
        if not _is_current(request):
            return End.SUPERSEDED, context.facts, "It changed while it was read."
        return stop.end, context.facts, stop.message
    finally:
        if context.planned is not None:
            context.planned.close()
    if not _is_current(request):
        return End.SUPERSEDED, context.facts, "It changed while it was read."
    if context.incomplete:
        return End.INCOMPLETE, context.facts, context.incomplete
    return End.DONE, context.facts, ""


def _is_current(request: Request) -> bool:
    try:
        now = generation_of(request.checkpoint.path, request.checkpoint.format)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return now == request.generation
