"""Makes the report of a verification from the results of its checks; pure."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from checkpointd.core.check_result import Outcome
from checkpointd.core.report import Report, with_facts
from checkpointd.core.verdict import decide
from checkpointd.dispatch import answer_validator
from checkpointd.worker.protocol import LOAD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.core.check_result import CheckResult
    from checkpointd.core.report import Facts
    from checkpointd.core.request import Request
    from checkpointd.dispatch.child_result import ChildResult


def make_report(
    request: Request, facts: Facts, checks: Sequence[CheckResult], seconds: float, stderr: str
) -> Report:
    """Decide the verdict, and report it with what led to it.

    Args:
        request: what was asked.
        facts: everything that was learned.
        checks: the result of each check, in order.
        seconds: how long it took.
        stderr: what the processes printed; kept if a check failed.
    """
    verdict, reason, message, shown = decide(checks, request.settings.fail_on)
    checkpoint = with_facts(replace(request.checkpoint, format=facts.format), facts)
    noisy = any(c.outcome in (Outcome.FAIL, Outcome.ERROR) for c in checks)
    return Report(
        checkpoint=checkpoint,
        generation=request.generation,
        verdict=verdict,
        reason=reason,
        message=message,
        shown=shown,
        checks=tuple(checks),
        # Long, and only the load stage needs them.
        facts=replace(facts, optimizer_tensors=None, other_tensors=None),
        duration_seconds=seconds,
        settings_digest=request.settings.digest,
        finished_at=time.time(),
        stderr=stderr if noisy else "",
    )


def merged_facts(
    stage: str, facts: Facts, reported: Facts, request: Request, result: ChildResult
) -> Facts:
    """Return the facts that are known after a stage has reported its own.

    Args:
        stage: SCAN or LOAD.
        facts: those that were known before.
        reported: those of the stage.
        request: what is verified.
        result: what the stage's child did.
    """
    if stage != LOAD:
        return reported
    evaluation = request.settings.evaluate
    evaluated_by = evaluation.digest if evaluation.is_set else ""
    return answer_validator.merge_load_facts(facts, reported, evaluated_by, result.environment)
