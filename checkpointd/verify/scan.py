"""The scan side of the suite: what can be shown without TensorFlow, in a light child."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.checkpoint import End, Facts, Request
from checkpointd.formats import generation_of
from checkpointd.verify import finite, integrity, structure
from checkpointd.verify.suite import Emit, Stop, run

if TYPE_CHECKING:
    from checkpointd.checkpoint import CheckResult

CHECKS = (
    (structure.NAME, structure.check),
    (integrity.NAME, integrity.check),
    (finite.NAME, finite.check),
)


def scan(request: Request, emit: Emit) -> tuple[End, Facts, str]:
    """Verify a checkpoint as far as that can be done without TensorFlow.

    Args:
        request: which generation of which checkpoint, and how.
        emit: called with the result of each check as soon as it is known.

    Returns:
        DONE, with what was learned besides the checks; INCOMPLETE where the container itself says
        that its writer is not done (the `structure` result has been emitted all the same);
        SUPERSEDED where it is not, or no longer, the generation that was asked for; UNKNOWN where
        the content is no model. The text says why there is no verdict.
    """
    context = structure.ScanContext(request, Facts(format=request.checkpoint.format))
    if not _is_current(request):
        return End.SUPERSEDED, context.facts, "It changed before it was read."
    held: list[CheckResult] = []

    def forward(result: CheckResult) -> None:
        held.append(result)
        emit(result)

    try:
        run(context, CHECKS, forward)
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
