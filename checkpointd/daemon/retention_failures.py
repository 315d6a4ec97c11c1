"""Failures of retention: each checkpoint is counted once, each cause logged once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from checkpointd.core.checkpoint import Generation
    from checkpointd.retention import Removal

log = structlog.get_logger()


class RetentionFailures:
    """Remembers the failures of the last round of each watch, so that only new ones are reported.

    Args:
        count: called with a watch for each checkpoint that begins to fail.
    """

    def __init__(self, count: Callable[[str], None]) -> None:
        self._count = count
        self._failed: dict[str, dict[str, Generation]] = {}
        self._logged: dict[tuple[str, str], frozenset[str]] = {}

    def forget(self, watch: str) -> None:
        """Forget a watch."""
        self._failed.pop(watch, None)
        self._logged = {key: causes for key, causes in self._logged.items() if key[0] != watch}

    def note_removals(self, watch: str, removals: Iterable[Removal]) -> None:
        """Count and log the failed removals of a round; forget failures that are over."""
        refused = [removal for removal in removals if not removal.done]
        before = self._failed.get(watch, {})
        self._failed[watch] = {r.entry.path: r.entry.generation for r in refused}
        for removal in refused:
            if before.get(removal.entry.path) != removal.entry.generation:
                self._count(watch)
        causes: dict[str, list[str]] = {}
        for removal in refused:
            causes.setdefault(removal.reason, []).append(removal.entry.path)
        for reason in self._new(watch, "not pruned", causes):
            paths = causes[reason]
            log.warning("not pruned", watch=watch, count=len(paths), path=paths[0], reason=reason)

    def note(self, watch: str, event: str, causes: Iterable[str], **details: Any) -> None:
        """Log the causes of an event, except those that the watch's last round had already."""
        for cause in self._new(watch, event, causes):
            log.warning(event, watch=watch, message=cause, **details)

    def _new(self, watch: str, event: str, causes: Iterable[str]) -> list[str]:
        now = list(dict.fromkeys(causes))
        before = self._logged.get((watch, event), frozenset())
        self._logged[watch, event] = frozenset(now)
        return [cause for cause in now if cause not in before]
