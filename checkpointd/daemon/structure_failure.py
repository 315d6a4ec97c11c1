"""Makes reports without reading content: of unfinished saves, and of paths with other content."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from checkpointd.core.check_result import CheckResult, Outcome
from checkpointd.core.report import Facts, Report
from checkpointd.core.suite import checks_of
from checkpointd.core.verdict import Verdict
from checkpointd.dispatch.child_outcome import not_run
from checkpointd.worker.protocol import LOAD, SCAN

if TYPE_CHECKING:
    from collections.abc import Iterable

    from checkpointd.core.checkpoint import Checkpoint, Generation
    from checkpointd.core.verify_settings import VerifySettings

NOT_A_CHECKPOINT = "structure.not_a_checkpoint"


def was_checkpoint(history: Iterable[Report]) -> bool:
    """Whether a path ever held a checkpoint that was read whole."""
    return any("intact" in report.shown for report in history)


def structure_failure(
    checkpoint: Checkpoint,
    generation: Generation,
    settings: VerifySettings,
    reason: str,
    message: str,
) -> Report:
    """Return the report of a checkpoint that fails `structure`; no other check ran."""
    first = CheckResult("structure", Outcome.FAIL, reason, message)
    names = (*checks_of(SCAN, settings), *checks_of(LOAD, settings))
    checks = (first, *not_run(names, "structure", [first]))
    return Report(
        checkpoint=checkpoint,
        generation=generation,
        verdict=Verdict.INVALID,
        reason=reason,
        message=message,
        shown=(),
        checks=checks,
        facts=Facts(format=checkpoint.format),
        duration_seconds=0.0,
        settings_digest=settings.digest,
        finished_at=time.time(),
    )
