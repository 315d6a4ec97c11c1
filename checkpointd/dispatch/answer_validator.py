"""What one child may say, and when: each answer is held against what was asked of it.

A child reads hostile files, and a load child runs the user's code, perhaps the checkpoint's own.
So an answer counts only in its turn, in the words of the closed lists, within its limits; what
was found before foreign code could run wins over what is said after. What code in a load child
claims for the checks of that stage cannot be told from the truth (docs, "security"). Pure.
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
from checkpointd.worker.protocol import COPY, INSPECT, LOAD, SCAN, Finished

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
    """Takes the answers of one child in order; what is out of order raises `DecodeError`."""

    def __init__(self, job: Job) -> None:
        self._stage = job.stage
        self._expected = list(job.checks)
        self._skip = frozenset(job.request["settings"]["skip"])
        self._private = job.request["copied"]
        self._own = [name for name in job.checks if name not in SPECS]
        self._told: Facts | None = None
        self._confined = self._over = False

    def sandbox(self, told: SandboxState) -> SandboxState:
        """Take what confines it: its first word.

        Raises:
            DecodeError: it has said something before.
        """
        if self._confined or self._over:
            raise DecodeError("what confines it has to be its first word, once")
        self._confined = True
        return told

    def check(self, result: CheckResult, elapsed: float) -> CheckResult:
        """Take a check's result.

        Args:
            result: what the child says.
            elapsed: seconds since it was given its job.

        Returns:
            The result, with every text printable and details of bounded size.

        Raises:
            DecodeError: it is not that check's turn, or it cannot have come to this.
        """
        self._open()
        if not self._expected or result.name != self._expected[0]:
            raise DecodeError(f"an answer out of order: {printable(result.name, 100)!r}")
        said = result.outcome is not Outcome.SKIP
        if said and result.name in self._own and self._told is None:
            raise DecodeError(f"an answer for {result.name!r} before it told its facts")
        if said and result.name in self._skip and result.reason != _UNCONFINED:
            raise DecodeError(f"an answer for {result.name!r}, which is switched off")
        if not _consistent(result, own=result.name in self._own):
            reason = printable(result.reason, 100)
            raise DecodeError(f"{result.name!r} cannot end in {result.outcome} with {reason!r}")
        if not 0.0 <= result.duration_seconds <= elapsed + _LATE_SECONDS:
            raise DecodeError(f"{result.name!r} took a time that cannot be")
        del self._expected[0]
        return replace(
            result,
            message=printable(result.message, _MAX_MESSAGE),
            details=bounded(result.details),
        )

    def facts(self, told: Facts) -> Facts:
        """Take the facts that are told before the user's own checks, once, and only then.

        Raises:
            DecodeError: it is not their turn, or they cannot be true.
        """
        self._open()
        if not self._own or self._told is not None or self._expected != self._own:
            raise DecodeError("facts out of order")
        self._told = validated_facts(told)
        return self._told

    def end(self, finished: Finished) -> Finished:
        """Take the last word; facts that were told before foreign code ran are not changed by it.

        Raises:
            DecodeError: checks are left that it did not answer for, or it cannot end like this.
        """
        self._open()
        if self._stage not in (SCAN, LOAD):
            raise DecodeError("an end that was not asked for")
        if finished.end is End.SUPERSEDED and self._private:
            raise DecodeError("a copy that nobody else has was not written over")
        foreign = self._stage == LOAD or self._told is not None
        if foreign and finished.end not in (End.DONE, End.SUPERSEDED):
            raise DecodeError(f"it cannot end as {finished.end}")
        if finished.end is End.DONE and self._expected:
            raise DecodeError(f"it ended without an answer for {self._expected[0]!r}")
        self._over = True
        facts = validated_facts(finished.facts) if self._told is None else self._told
        return Finished(finished.end, printable(finished.message, _MAX_MESSAGE), facts)

    def inspection(self, found: dict[str, Any]) -> dict[str, Any]:
        """Take what an INSPECT or COPY found.

        Raises:
            DecodeError: nobody asked for one, or it has no end.
        """
        self._open()
        if self._stage not in (INSPECT, COPY) or not _is_plain(found):
            raise DecodeError("an inspection that was not asked for")
        self._over = True
        return found

    def _open(self) -> None:
        if not self._confined:
            raise DecodeError("what confines it has to be its first word, once")
        if self._over:
            raise DecodeError("it went on after its end")


def _consistent(result: CheckResult, *, own: bool) -> bool:
    """Whether a check can end in this outcome for this reason."""
    if result.outcome is Outcome.PASS or (result.outcome is Outcome.SKIP and not result.reason):
        return not result.reason
    check, _, word = result.reason.partition(".")
    if own:
        said = result.outcome is not Outcome.SKIP
        return said and check == result.name and _WORD.fullmatch(word) is not None
    known = REASONS.get(result.reason)
    belongs = check == result.name or check in SPECS[result.name].borrows
    return known is not None and belongs and known.severity is _SEVERITIES[result.outcome]


def validated_facts(facts: Facts) -> Facts:
    """Facts as they may be kept: every text printable, every number that is shown finite.

    Raises:
        DecodeError: they cannot be true, or have no end.
    """
    counts = (facts.tensor_count, facts.parameter_count, facts.non_finite_values)
    if min(counts) < 0:
        raise DecodeError("a count below zero")
    digests = (facts.digest, facts.tensors_digest, facts.evaluated_by)
    if not all(map(_DIGEST.fullmatch, digests)):
        raise DecodeError("a digest that is none")
    if not _is_plain(facts.signatures) or len(json.dumps(facts.signatures)) > _MAX_SIGNATURES:
        raise DecodeError("signatures without end")
    if max(len(facts.metrics), len(facts.environment)) > _MAX_METRICS:
        raise DecodeError("metrics without end")
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
    scanned: Facts, told: Facts, evaluated_by: str, environment: Mapping[str, str]
) -> Facts:
    """Add what a load child learned to what was known before foreign code could run.

    Args:
        scanned: what the scan stage found; none of it changes.
        told: what the load child says.
        evaluated_by: the digest of the evaluation that was asked for; empty if none was.
        environment: what the interpreter said of itself when it started.
    """
    evaluation = told.evaluation if evaluated_by else {}
    return replace(
        scanned,
        metrics={**scanned.metrics, **evaluation},
        signatures=told.signatures,
        predictions_max_abs_difference=told.predictions_max_abs_difference,
        evaluation=evaluation,
        evaluated_by=evaluated_by if told.evaluated_by else "",
        environment={**scanned.environment, **environment},
        optimizer_step=told.optimizer_step,
    )


def bounded(details: Mapping[str, Any]) -> dict[str, Any]:
    """Details of a check, or a word in their place where they have no end."""
    if not _is_plain(details):
        return {"left_out": "The details are nested too deeply."}
    if len(json.dumps(details)) > MAX_DETAILS:
        return {"left_out": f"The details are longer than {MAX_DETAILS} characters."}
    return dict(details)


def _is_plain(value: Any, depth: int = _MAX_DEPTH) -> bool:
    """Whether a JSON value is nested no deeper than this, with numbers of at most 64 bits."""
    if isinstance(value, dict):
        return depth > 0 and all(_is_plain(v, depth - 1) for v in value.values())
    if isinstance(value, list):
        return depth > 0 and all(_is_plain(v, depth - 1) for v in value)
    return not isinstance(value, int) or abs(value) <= _MAX_INTEGER


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def printable_lines(stderr: str) -> str:
    """What a process printed, as lines that are safe to show."""
    return "\n".join(printable(line, _MAX_STDERR_LINE) for line in stderr.splitlines())
