"""What the ledger holds, as the objects that `--json` prints and the HTTP API returns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from checkpointd.ledger.facts import Entry


def public_entry(entry: Entry) -> dict[str, Any]:
    """One checkpoint."""
    report = entry.report
    return {
        "id": entry.id,
        "watch": entry.checkpoint.watch,
        "path": entry.checkpoint.path,
        "format": str(entry.checkpoint.format),
        "series": entry.checkpoint.series,
        "step": entry.step,
        "metrics": dict(entry.metrics),
        "size_bytes": entry.generation.size_bytes,
        "saved_at": entry.saved_at,
        "state": str(entry.state),
        "verdict": str(report.verdict) if report else None,
        "reason": report.reason if report else "",
        "message": report.message if report else entry.message,
        "shown": list(report.shown) if report else [],
        "golden": report.facts.has_golden if report else False,
        "verified_at": report.finished_at if report else None,
        "duration_seconds": report.duration_seconds if report else None,
        "pinned": entry.pinned,
        "tags": sorted(entry.tags),
    }


def public_detail(entry: Entry) -> dict[str, Any]:
    """One checkpoint with its whole report."""
    report = entry.whole_report
    details = {**report.to_public(), "stderr": report.stderr} if report else {}
    return {**public_entry(entry), **details}
