"""The rule that turns the results of a suite's checks into one verdict."""

from __future__ import annotations

import dataclasses
import enum
from typing import TYPE_CHECKING

from checkpointd.core.check_result import CheckResult, Outcome
from checkpointd.core.suite import INTACT_CHECKS, SPECS

if TYPE_CHECKING:
    from collections.abc import Iterable


class Verdict(str, enum.Enum):
    """The result of a verification."""

    VALID = "valid"
    INVALID = "invalid"
    INCONCLUSIVE = "inconclusive"

    def __str__(self) -> str:
        return self.value


def decide(
    checks: Iterable[CheckResult], fail_on: Iterable[str] = ()
) -> tuple[Verdict, str, str, tuple[str, ...]]:
    """Judge a suite: any fail is invalid; any error, or `intact` not shown, is inconclusive.

    A skipped check with a reason is a note: it explains why something was not shown, and no more.

    Args:
        checks: what each check found, in the order of the suite.
        fail_on: names of checks whose warnings count as failures.

    Returns:
        The verdict, the reason and message of the first check that decided it (for a valid
        checkpoint the first warning's, else the first note's, or empty), and what was shown.
    """
    strict = set(fail_on)
    results = [
        dataclasses.replace(c, outcome=Outcome.FAIL)
        if c.outcome is Outcome.WARN and c.name in strict
        else c
        for c in checks
    ]
    shown = tuple(SPECS[c.name].shows for c in results if _is_shown(c))
    for outcome, verdict in (
        (Outcome.FAIL, Verdict.INVALID),
        (Outcome.ERROR, Verdict.INCONCLUSIVE),
    ):
        first = next((c for c in results if c.outcome is outcome), None)
        if first is not None:
            return verdict, first.reason, first.message, shown
    notes = [c for c in results if c.outcome is Outcome.SKIP and c.reason]
    if "intact" not in shown:
        why = next((c for c in notes if c.name in INTACT_CHECKS), None)
        unread = "Nothing was shown about its content: the integrity check did not run."
        return (
            Verdict.INCONCLUSIVE,
            why.reason if why else "",
            why.message if why else unread,
            shown,
        )
    warned = next((c for c in results if c.outcome is Outcome.WARN), next(iter(notes), None))
    return Verdict.VALID, warned.reason if warned else "", warned.message if warned else "", shown


def _is_shown(result: CheckResult) -> bool:
    spec = SPECS.get(result.name)  # None: a user's check
    if spec is None or not spec.shows:
        return False
    return result.outcome is Outcome.PASS or (
        result.outcome is Outcome.WARN and spec.shows_although_warned
    )
