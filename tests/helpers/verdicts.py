"""Reports about one checkpoint, made under settings of another time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.core.checkpoint import Checkpoint, Generation, Member
from checkpointd.core.format_specs import Format
from checkpointd.core.report import Facts, Report
from checkpointd.core.verify_settings import VerifySettings

if TYPE_CHECKING:
    from checkpointd.core.verdict import Verdict

THEN = VerifySettings(runtime="tensorflow 2.15")
CHECKPOINT = Checkpoint("/w/a.keras", Format.KERAS, "w", "a.keras")
GENERATION = Generation((Member("", 1, 2, 100, 10**9, 10**9),))


def judged(
    verdict: Verdict,
    reason: str = "",
    shown: tuple[str, ...] = ("intact",),
    format_: Format = Format.KERAS,
) -> Report:
    """A report made under the settings `THEN`."""
    return Report(
        checkpoint=CHECKPOINT,
        generation=GENERATION,
        verdict=verdict,
        reason=reason,
        message="",
        shown=shown,
        checks=(),
        facts=Facts(format=format_),
        duration_seconds=0.1,
        settings_digest=THEN.digest,
        finished_at=1.0,
    )
