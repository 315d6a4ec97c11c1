"""The check `safety`: collects the findings of the scanners, and decides on the most severe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.core.check_result import CheckResult, failed, passed
from checkpointd.verify.scan.findings import (
    ALLOWED_AS_CODE,
    BY_SEVERITY,
    UNREADABLE,
    Finding,
)
from checkpointd.verify.scan.safety import archive, graph, hdf5, keras, links
from checkpointd.verify.suite import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from checkpointd.verify.scan.scan_context import ScanContext

NAME = "safety"
_LISTED = 50

SCANNERS = (
    links.findings,
    keras.findings,
    hdf5.findings,
    archive.findings,
    graph.findings,
)
"""Each takes a `ScanContext` and yields its findings."""


def check(context: ScanContext) -> CheckResult:
    """Judge what the scanners find in the metadata of the file; no weight is read."""
    return judge(findings_of(context), allow_code=context.request.settings.allow_code)


def findings_of(context: ScanContext) -> tuple[Finding, ...]:
    """Return the findings of all scanners, which run once."""
    if context.findings is None:
        context.findings = tuple(f for scanner in SCANNERS for f in scanner(context))
    return context.findings


def blocks_reading(context: ScanContext) -> str:
    """Return why the weights must not be read; empty if they may be."""
    harmful = (f for f in findings_of(context) if f.in_weights and f.word in UNREADABLE)
    return next((f.message for f in harmful), "")


def judge(findings: Sequence[Finding], *, allow_code: bool) -> CheckResult:
    """Decide on findings: the most severe is the reason, the details list all of them.

    Args:
        findings: in the order in which they were found.
        allow_code: the user trusts the code in the checkpoint.
    """
    ranked = sorted(findings, key=lambda f: BY_SEVERITY.index(f.word))
    details = {
        "findings": [
            {
                "word": f.word,
                "where": printable(f.where, 300),
                "what": printable(f.what, 300),
                "message": printable(f.message, 900),
            }
            for f in ranked[:_LISTED]
        ]
    }
    counted = [f for f in ranked if f.word not in ALLOWED_AS_CODE or not allow_code]
    if not counted:
        allowed = " Code in it is allowed by allow_code." if ranked else ""
        return passed(NAME, f"Nothing in it reaches outside.{allowed}", **details)
    first = counted[0]
    more = f" And {len(counted) - 1} more." if len(counted) > 1 else ""
    return failed(NAME, first.word, f"{first.message}{more}", **details)
