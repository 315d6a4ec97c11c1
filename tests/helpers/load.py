"""Runs the load side of the suite in the test's own process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checkpointd.core.checkpoint import Checkpoint, Generation
from checkpointd.core.format_specs import Format
from checkpointd.core.report import Facts
from checkpointd.core.request import End, Previous, Request
from checkpointd.core.verify_settings import VerifySettings
from checkpointd.verify.load.load_stage import load_suite
from tests.helpers.scan import scanned as scan_side

if TYPE_CHECKING:
    from checkpointd.core.check_result import CheckResult


def load(
    path: str,
    format_name: str,
    *,
    previous: Facts | Previous | None = None,
    scanned: Facts | None = None,
    step: int | None = None,
    **settings: Any,
) -> tuple[dict[str, CheckResult], Facts]:
    """Verify a checkpoint's load side; returns the results by check, and the facts."""
    results: dict[str, CheckResult] = {}

    def emit(result: CheckResult) -> None:
        results[result.name] = result

    if isinstance(previous, Facts):
        previous = Previous("before", previous)
    request = Request(
        Checkpoint(path, Format(format_name), step=step),
        Generation(()),
        VerifySettings(**settings),
        previous,
    )
    facts = load_suite(request, scanned or Facts(format=Format(format_name)), emit)
    return results, facts


def verify(path: str, **arguments: Any) -> tuple[dict[str, CheckResult], Facts]:
    """Scan a checkpoint, load it, and return the results of the load side by check, and facts."""
    scanned = scan_side(path)
    assert scanned.end is End.DONE, scanned.message
    return load(path, str(scanned.facts.format), scanned=scanned.facts, **arguments)
