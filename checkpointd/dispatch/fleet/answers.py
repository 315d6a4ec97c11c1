"""From what a worker of the fleet sends to an answer that counts as a local child's would; pure.

The verdict is decided here, from the results of the checks. What cannot be the result of the checks
that were asked for is refused.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from checkpointd.core import decode
from checkpointd.core.check_result import CheckResult, Outcome
from checkpointd.core.decode import DecodeError
from checkpointd.core.encode import to_json
from checkpointd.core.reasons.general import GENERAL
from checkpointd.core.request import Answer, End
from checkpointd.core.suite import checks_of
from checkpointd.core.text import printable
from checkpointd.dispatch.answer_validator import (
    AnswerValidator,
    bounded_details,
    printable_lines,
    validated_facts,
)
from checkpointd.dispatch.reports import make_report
from checkpointd.worker.protocol import LOAD, SCAN, Job, SandboxState

if TYPE_CHECKING:
    from checkpointd.core.report import Facts
    from checkpointd.core.request import Request

_MAX_MESSAGE = 24_000
_MAX_STDERR = 16 * 1024
_LATE_SECONDS = 5.0


def validated_answer(request: Request, end: str, raw: dict[str, Any], elapsed: float) -> Answer:
    """Return the answer to a request.

    Args:
        request: what was asked.
        end: how it ended, one of `End`.
        raw: what the worker sent.
        elapsed: seconds since the worker was asked.

    Raises:
        DecodeError: no verification of this request can have ended so.
    """
    message = printable(raw["message"], _MAX_MESSAGE)
    if end != End.DONE:
        return Answer(End(end), message)
    results, stderr = raw.get("checks"), raw.get("stderr", "")
    seconds = raw.get("duration_seconds")
    if not isinstance(results, list) or not isinstance(stderr, str):
        raise DecodeError("no results of checks")
    if not isinstance(seconds, (int, float)) or not 0 <= seconds <= elapsed + _LATE_SECONDS:
        raise DecodeError("an impossible duration")
    results_of_checks = [decode.check_result(one) for one in results]
    facts = _facts(request, decode.facts(raw.get("facts")))
    known = {check.name: check for check in results_of_checks}
    if len(known) != len(results_of_checks):
        raise DecodeError("a check that has two results")
    checks: list[CheckResult] = []
    for stage in (SCAN, LOAD):
        checks += _stage(stage, request, known, facts, elapsed)
    if known:
        raise DecodeError(f"a result that nobody asked for: {printable(min(known), 100)!r}")
    stderr = printable_lines(stderr[-_MAX_STDERR:])
    return Answer(End.DONE, message, make_report(request, facts, checks, float(seconds), stderr))


def _facts(request: Request, facts: Facts) -> Facts:
    """Return the facts that may be believed; an evaluation only where one was asked for."""
    evaluation = request.settings.evaluate
    return replace(
        validated_facts(facts),
        evaluation=facts.evaluation if evaluation.is_set else {},
        evaluated_by=evaluation.digest if evaluation.is_set and facts.evaluated_by else "",
    )


def _stage(
    stage: str, request: Request, known: dict[str, CheckResult], facts: Facts, elapsed: float
) -> list[CheckResult]:
    """Take the results of a stage out of `known`: all of them, or none of what is switched off."""
    names = checks_of(stage, request.settings)
    if not known.keys() & set(names) and set(names) <= set(request.settings.skip):
        return []
    validator = AnswerValidator(Job(stage, "", to_json(request), checks=names))
    validator.sandbox(SandboxState())
    users = {check.name for check in request.settings.checks}
    checks = []
    is_early = True
    for name in names:
        result = known.pop(name, None)
        if result is None:
            raise DecodeError(f"no result of {name!r}")
        if name in users and is_early:
            validator.facts(facts)
            is_early = False
        checks.append(_check(validator, result, elapsed))
    return checks


def _check(validator: AnswerValidator, result: CheckResult, elapsed: float) -> CheckResult:
    """Validate one result; an end that a dispatcher itself finds can only leave a verdict open."""
    check, _, word = result.reason.partition(".")
    found_by_dispatcher = (
        result.outcome is Outcome.ERROR and check == result.name and word in GENERAL
    )
    if not found_by_dispatcher:
        return validator.check(result, elapsed)
    validator.check(replace(result, outcome=Outcome.SKIP, reason="", duration_seconds=0.0), elapsed)
    return replace(
        result,
        message=printable(result.message, _MAX_MESSAGE),
        details=bounded_details(result.details),
    )
