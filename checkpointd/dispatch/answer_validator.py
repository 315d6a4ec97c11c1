"""Which answers a child may send, and when: each is compared with what was asked.

A child reads hostile files, and a load child runs user code, perhaps the checkpoint's. So an
answer counts only in order, with a reason of the closed lists and within its limits; what was
found before foreign code could run overrides what is reported afterwards. What code in a load
child claims for the checks of that stage cannot be verified (see the manual, "security"). Pure.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from checkpointd.core.check_result import CheckResult, Outcome
from checkpointd.core.decode import DecodeError
from checkpointd.core.reasons.reason import Severity
from checkpointd.core.request import End
from checkpointd.core.suite import REASONS, SPECS
from checkpointd.core.text import printable
from checkpointd.worker.protocol import LOAD, SCAN, Finished

if TYPE_CHECKING:
    from collections.abc import Mapping

    from checkpointd.core.report import Facts
    from checkpointd.worker.protocol import Job, SandboxState

MAX_DETAILS = 256 * 1024
"""Characters of one check's details: what they may cost in the ledger."""

_MAX_MESSAGE, _MAX_STDERR_LINE, _MAX_NAME = 24_000, 4_000, 1_000
_MAX_DEPTH = 24
_MAX_INTEGER = 2**64
_MAX_SIGNATURES = 4 * 1024 * 1024
_MAX_METRICS = 1_000
_LATE_SECONDS = 5.0

_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")
_DIGEST = re.compile(r"[0-9a-f]{0,64}")
_SEVERITIES = {
    Outcome.FAIL: Severity.FAIL,
    Outcome.ERROR: Severity.ERROR,
    Outcome.WARN: Severity.WARN,
    Outcome.SKIP: Severity.NOTE,
}
_UNCONFINED = "load.sandbox_unavailable"


class AnswerValidator:
    """Takes the answers of one child in order; an answer out of order raises `DecodeError`."""

    def __init__(self, job: Job) -> None:
        self._stage = job.stage
        self._expected = list(job.checks)
        self._skip = frozenset(job.request["settings"]["skip"])
        self._private = job.request["copied"]
        self._awaits_scan_facts = job.early and job.stage == SCAN
        self._user_checks = [name for name in job.checks if name not in SPECS]
        self._early_facts: Facts | None = None
        self._has_sandbox = self._ended = False

    def sandbox(self, state: SandboxState) -> SandboxState:
        """Take the state of its sandbox: its first answer.

        Raises:
            DecodeError: it has sent an answer before.
        """
        if self._has_sandbox or self._ended:
            raise DecodeError("the state of the sandbox has to come first, and once")
        self._has_sandbox = True
        return state

    def check(self, result: CheckResult, elapsed: float) -> CheckResult:
        """Take a check's result.

        Args:
            result: what the child sent.
            elapsed: seconds since it received its job.

        Returns:
            The result, with every text printable and details of bounded size.

        Raises:
            DecodeError: another check is due, or the check cannot have this result.
        """
        self._require_open()
        if not self._expected or result.name != self._expected[0]:
            raise DecodeError(f"an answer out of order: {printable(result.name, 100)!r}")
        ran = result.outcome is not Outcome.SKIP
        is_user_check = result.name in self._user_checks
        if ran and is_user_check and self._early_facts is None:
            raise DecodeError(f"an answer for {result.name!r} before its facts")
        if ran and result.name in self._skip and result.reason != _UNCONFINED:
            raise DecodeError(f"an answer for {result.name!r}, which is switched off")
        if not _is_consistent(result, is_user_check=is_user_check):
            reason = printable(result.reason, 100)
            raise DecodeError(f"{result.name!r} cannot end in {result.outcome} with {reason!r}")
        if not 0.0 <= result.duration_seconds <= elapsed + _LATE_SECONDS:
            raise DecodeError(f"{result.name!r} reports an impossible duration")
        del self._expected[0]
        return replace(
            result,
            message=printable(result.message, _MAX_MESSAGE),
            details=bounded_details(result.details),
        )

    @property
    def expects_early_facts(self) -> bool:
        """Whether facts that come now are those that a load begins with."""
        return self._awaits_scan_facts and self._expected[:1] == ["safety"]

    def early_facts(self, facts: Facts) -> Facts:
        """Take what a scan knows before it reads the weights, once.

        Raises:
            DecodeError: the facts are impossible.
        """
        self._require_open()
        self._awaits_scan_facts = False
        return validated_facts(facts)

    def facts(self, facts: Facts) -> Facts:
        """Take the facts that come before the user checks, once, and only then.

        Raises:
            DecodeError: something else is due, or the facts are impossible.
        """
        self._require_open()
        due = bool(self._user_checks) and self._expected == self._user_checks
        if not due or self._early_facts is not None:
            raise DecodeError("facts out of order")
        self._early_facts = validated_facts(facts)
        return self._early_facts

    def end(self, finished: Finished) -> Finished:
        """Take the last answer; it cannot change facts that came before foreign code ran.

        Raises:
            DecodeError: results of checks are missing, or the child cannot end like this.
        """
        self._require_open()
        if self._stage not in (SCAN, LOAD):
            raise DecodeError("an end that was not asked for")
        if finished.end is End.SUPERSEDED and self._private:
            raise DecodeError("nothing else can have replaced a private copy")
        foreign = self._stage == LOAD or self._early_facts is not None
        if foreign and finished.end not in (End.DONE, End.SUPERSEDED):
            raise DecodeError(f"it cannot end as {finished.end}")
        if finished.end is End.DONE and self._expected:
            raise DecodeError(f"it ended without an answer for {self._expected[0]!r}")
        self._ended = True
        facts = validated_facts(finished.facts) if self._early_facts is None else self._early_facts
        return Finished(finished.end, printable(finished.message, _MAX_MESSAGE), facts)

    def inspection(self, inspection: dict[str, Any]) -> dict[str, Any]:
        """Take the result of any stage but SCAN and LOAD.

        Raises:
            DecodeError: it was not asked for, or it is nested without bounds.
        """
        self._require_open()
        if self._stage in (SCAN, LOAD) or not _is_bounded(inspection):
            raise DecodeError("an inspection that was not asked for")
        self._ended = True
        return inspection

    def _require_open(self) -> None:
        if not self._has_sandbox:
            raise DecodeError("the state of the sandbox has to come first, and once")
        if self._ended:
            raise DecodeError("it sent an answer after its last one")


def _is_consistent(result: CheckResult, *, is_user_check: bool) -> bool:
    """Whether a check can end in this outcome for this reason."""
    if result.outcome is Outcome.PASS or (result.outcome is Outcome.SKIP and not result.reason):
        return not result.reason
    check, _, word = result.reason.partition(".")
    if is_user_check:
        ran = result.outcome is not Outcome.SKIP
        return ran and check == result.name and _WORD.fullmatch(word) is not None
    reason = REASONS.get(result.reason)
    belongs = check == result.name or check in SPECS[result.name].borrows
    return reason is not None and belongs and reason.severity is _SEVERITIES[result.outcome]


def validated_facts(facts: Facts) -> Facts:
    """Return facts fit for the ledger: every text printable, every displayed number finite.

    Raises:
        DecodeError: they are impossible, or larger than any checkpoint needs.
    """
    counts = (facts.tensor_count, facts.parameter_count, facts.non_finite_values)
    if min(counts) < 0:
        raise DecodeError("a count below zero")
    digests = (facts.digest, facts.tensors_digest, facts.model_digest, facts.evaluated_by)
    if not all(map(_DIGEST.fullmatch, digests)):
        raise DecodeError("a malformed digest")
    if not _is_bounded(facts.signatures) or len(json.dumps(facts.signatures)) > _MAX_SIGNATURES:
        raise DecodeError("signatures that are too large")
    if max(len(facts.metrics), len(facts.environment)) > _MAX_METRICS:
        raise DecodeError("too many metrics")
    return replace(
        facts,
        writer=printable(facts.writer, _MAX_NAME),
        metrics={printable(k, _MAX_NAME): v for k, v in facts.metrics.items()},
        environment={
            printable(k, _MAX_NAME): printable(v, _MAX_NAME) for k, v in facts.environment.items()
        },
        weight_norm=_finite(facts.weight_norm),
        weight_change_ratio=_finite(facts.weight_change_ratio),
        predictions_max_abs_difference=_finite(facts.predictions_max_abs_difference),
    )


def merge_load_facts(
    scanned: Facts, loaded: Facts, evaluated_by: str, environment: Mapping[str, str]
) -> Facts:
    """Add the facts of a load child to those from before foreign code could run.

    Args:
        scanned: the facts of the scan stage; none of them changes.
        loaded: the facts of the load child.
        evaluated_by: the digest of the evaluation that was asked for; empty if none was.
        environment: what the interpreter reported when it started.
    """
    evaluation = loaded.evaluation if evaluated_by else {}
    return replace(
        scanned,
        metrics={**scanned.metrics, **evaluation},
        signatures=loaded.signatures,
        predictions_max_abs_difference=loaded.predictions_max_abs_difference,
        evaluation=evaluation,
        evaluated_by=evaluated_by if loaded.evaluated_by else "",
        environment={**scanned.environment, **environment},
        optimizer_step=loaded.optimizer_step,
    )


def bounded_details(details: Mapping[str, Any]) -> dict[str, Any]:
    """Return the details of a check, or a note in their place where they are too large."""
    if not _is_bounded(details):
        return {"left_out": "The details are nested too deeply."}
    if len(json.dumps(details)) > MAX_DETAILS:
        return {"left_out": f"The details are longer than {MAX_DETAILS} characters."}
    return dict(details)


def _is_bounded(value: Any, depth: int = _MAX_DEPTH) -> bool:
    """Whether a JSON value is nested no deeper than this, with numbers of at most 64 bits."""
    if isinstance(value, dict):
        return depth > 0 and all(_is_bounded(v, depth - 1) for v in value.values())
    if isinstance(value, list):
        return depth > 0 and all(_is_bounded(v, depth - 1) for v in value)
    return not isinstance(value, int) or abs(value) <= _MAX_INTEGER


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def printable_lines(stderr: str) -> str:
    """Return the output of a process as lines that are safe to display."""
    return "\n".join(printable(line, _MAX_STDERR_LINE) for line in stderr.splitlines())
