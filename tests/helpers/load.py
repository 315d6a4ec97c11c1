"""Runs the load side of the suite in the test's own process."""

from __future__ import annotations

from typing import Any

from checkpointd.checkpoint import (
    Checkpoint,
    CheckResult,
    Facts,
    Format,
    Generation,
    Previous,
    Request,
    VerifySettings,
)
from checkpointd.verify.loading import load_suite


def load(
    path: str, form: str, *, previous: Facts | None = None, **settings: Any
) -> tuple[dict[str, CheckResult], Facts]:
    """Verify a checkpoint's load side; returns the results by check, and the facts."""
    results: dict[str, CheckResult] = {}

    def emit(result: CheckResult) -> None:
        results[result.name] = result

    request = Request(
        Checkpoint(path, Format(form)),
        Generation(()),
        VerifySettings(**settings),
        Previous("before", previous) if previous else None,
    )
    facts = load_suite(request, Facts(format=Format(form)), emit)
    return results, facts
