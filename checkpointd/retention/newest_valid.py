"""Which of the known checkpoints is the newest valid one: pure, and then one look at the disk.

Newest is by save time, and by step where two were saved at the same moment. Because a run ends
where the step falls, this is the order of steps within the current run: a job that was started
again at step 0 is newer than the run before it, whatever the steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.formats import generation_of
from checkpointd.retention_rules.order import newest_first

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from checkpointd.ledger import Entry


def series_of(entries: Iterable[Entry]) -> dict[tuple[str, str], list[Entry]]:
    """Entries by watch and series, each newest first."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in newest_first(entries):
        groups.setdefault((entry.checkpoint.watch, entry.checkpoint.series), []).append(entry)
    return groups


def newest_valid(entries: Sequence[Entry], requires: frozenset[str]) -> Entry | None:
    """The first entry that is valid, has shown what is required, and is on disk unchanged.

    Args:
        entries: of one series, newest first.
        requires: what its report must have shown.
    """
    for entry in entries:
        report = entry.report
        if report is None or str(entry.state) != "valid" or not requires <= set(report.shown):
            continue
        try:
            now = generation_of(entry.checkpoint.path, entry.checkpoint.format)
        except OSError:
            continue
        if now.key == entry.generation.key:
            return entry
    return None
