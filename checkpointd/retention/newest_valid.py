"""Which of the known checkpoints is the newest valid one, for `latest` and for the links.

Newest is by save time, and by step where two were saved at the same moment. Because a run ends
where the step falls, this is the order of steps within the current run: a job that was started
again at step 0 is newer than the run before it, whatever the steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from checkpointd.formats import generation_of
from checkpointd.ledger.facts import FINISHED
from checkpointd.retention.eligibility import has_shown
from checkpointd.retention_rules.order import newest_first

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from checkpointd.ledger import Entry


def by_series(
    entries: Iterable[Entry], label: str | None = None
) -> dict[tuple[str, str], list[Entry]]:
    """Entries by watch and series, each newest first; with `label` only series of that label."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in newest_first(entries):
        if label is None or entry.checkpoint.series == label:
            key = entry.checkpoint.watch, entry.checkpoint.series
            groups.setdefault(key, []).append(entry)
    return groups


def newest_valid(entries: Sequence[Entry], required: frozenset[str]) -> Entry | None:
    """The first entry that is valid, has shown what is required, and is on disk unchanged.

    Args:
        entries: of one series, newest first.
        required: what its report must have shown.
    """
    return next((e for e in entries if has_shown(e, required) and is_unchanged_on_disk(e)), None)


def is_unchanged_on_disk(entry: Entry) -> bool:
    """Whether the content on disk is the one that the ledger knows, by names, sizes and times."""
    try:
        found = generation_of(entry.checkpoint.path, entry.checkpoint.format)
    except OSError:
        return False
    return found.key == entry.generation.key


def has_current_verdict(entry: Entry | None) -> bool:
    """Whether there is a verdict on the content that is on disk now."""
    return entry is not None and entry.state in FINISHED and is_unchanged_on_disk(entry)
