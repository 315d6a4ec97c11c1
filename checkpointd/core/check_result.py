"""What one check of the verification suite found."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from checkpointd.core.reasons.reason import Severity
from checkpointd.core.suite import REASONS

if TYPE_CHECKING:
    from collections.abc import Mapping


class Outcome(str, enum.Enum):
    """The result of one check."""

    PASS = "pass"  # noqa: S105 - not a password
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"
    ERROR = "error"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class CheckResult:
    """What one check of the suite found.

    `reason` is `<check>.<word>` of `core.suite.REASONS`, empty on a pass and where a check did not
    apply; a skip with a reason is a note, which explains why something was not shown. `message`
    is one plain sentence; `details` holds JSON-serialisable facts.
    """

    name: str
    outcome: Outcome
    reason: str = ""
    message: str = ""
    duration_seconds: float = 0.0
    details: Mapping[str, Any] = field(default_factory=dict)


def failed(check: str, word: str, message: str, **details: Any) -> CheckResult:
    """Make the result that the suite's reasons prescribe for `<check>.<word>`.

    Raises:
        KeyError: the reason is not in the closed list.
    """
    reason = f"{check}.{word}"
    outcome = {
        Severity.FAIL: Outcome.FAIL,
        Severity.ERROR: Outcome.ERROR,
        Severity.WARN: Outcome.WARN,
        Severity.NOTE: Outcome.SKIP,
    }[REASONS[reason].severity]
    return CheckResult(check, outcome, reason, message, details=details)


def passed(check: str, message: str = "", **details: Any) -> CheckResult:
    """Make the result of a check that found nothing wrong."""
    return CheckResult(check, Outcome.PASS, "", message, details=details)


def skipped(check: str, message: str) -> CheckResult:
    """Make the result of a check that did not apply, or whose precondition failed."""
    return CheckResult(check, Outcome.SKIP, "", message)
