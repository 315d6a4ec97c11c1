"""Verifying a private copy instead of a checkpoint: the request for it, and the report on it.

Pure.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from checkpointd.core import decode
from checkpointd.core.request import Answer, End

if TYPE_CHECKING:
    from checkpointd.core.request import Request


def request_for_copy(
    request: Request, path: str, copied: dict[str, Any] | None
) -> Request | Answer:
    """Return the request for a copy that a child made, or the answer where there is no copy.

    `copied` stays set: nobody else has the copy, so nothing can have replaced it.

    Args:
        request: for the checkpoint itself.
        path: the copy's.
        copied: the child's answer; None if there is none.
    """
    if copied is None:
        return Answer(End.SUPERSEDED, "It changed while it was read, and could not be copied.")
    if copied.get("end") != str(End.DONE):
        return Answer(End.SUPERSEDED, str(copied.get("message", "")))
    try:
        made = decode.generation(copied.get("generation"))
    except decode.DecodeError:
        return Answer(End.SUPERSEDED, "It changed while it was read, and could not be copied.")
    if made.key != request.generation.key:
        return Answer(End.SUPERSEDED, "It changed while it was copied.")
    checkpoint = replace(request.checkpoint, path=path)
    return replace(request, checkpoint=checkpoint, generation=made)


def answer_for_original(answer: Answer, request: Request, path: str) -> Answer:
    """Return the answer about a copy as one about its checkpoint."""
    original = request.checkpoint.path
    report = answer.report
    if report is None:
        return replace(answer, message=answer.message.replace(path, original))
    return replace(
        answer,
        report=replace(
            report,
            checkpoint=replace(report.checkpoint, path=original),
            generation=request.generation,
            message=report.message.replace(path, original),
            stderr=report.stderr.replace(path, original),
            checks=tuple(
                replace(check, message=check.message.replace(path, original))
                for check in report.checks
            ),
        ),
    )
